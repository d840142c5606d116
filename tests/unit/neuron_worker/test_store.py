"""What S3's errors are called in the contract."""

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    IncompleteReadError,
    ParamValidationError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from neuron_worker.contract import OutcomeKind, Reason, S3Uri
from neuron_worker.store import _fault

URI = S3Uri.parse("s3://recordings/talk.mp3")
URL = "http://s3.example"


def reason_of(error: ClientError | BotoCoreError) -> Reason:
    return _fault(URI, error).reason


def refused(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}}, "GetObject")


AWAY = [
    EndpointConnectionError(endpoint_url=URL),
    ReadTimeoutError(endpoint_url=URL),
    ResponseStreamingError(error="broken"),
    IncompleteReadError(actual_bytes=1, expected_bytes=2),
    *map(refused, ("InternalError", "ServiceUnavailable", "SlowDown", "500", "502", "503", "504")),
]


@pytest.mark.parametrize("error", AWAY, ids=str)
def test_nobody_is_blamed_while_s3_is_away(error: ClientError | BotoCoreError) -> None:
    assert reason_of(error) is Reason.STORE_UNAVAILABLE
    assert Reason.STORE_UNAVAILABLE.kind is OutcomeKind.INFRASTRUCTURE


REFUSED = [
    refused("PreconditionFailed"),
    refused("KMS.DisabledException"),
    ParamValidationError(report="no such parameter"),
]


@pytest.mark.parametrize("error", REFUSED, ids=str)
def test_what_s3_refuses_is_not_tried_without_end(error: ClientError | BotoCoreError) -> None:
    assert reason_of(error) is Reason.STORE_REFUSED
    assert Reason.STORE_REFUSED.kind is OutcomeKind.TRANSIENT
