"""Refusals of AWS, as sentences."""

from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import ClientError

from daemon.ports import Refused


@contextmanager
def in_words(service: str) -> Iterator[None]:
    """Raise `Refused` with AWS's own words for whatever the service answers no to."""
    try:
        yield
    except ClientError as error:
        told = error.response["Error"]
        raise Refused(service, told.get("Message", str(error)), told.get("Code", "")) from error
