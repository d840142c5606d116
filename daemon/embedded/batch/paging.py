"""Long lists in pages, with tokens that stay good while the list changes."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from daemon.embedded.batch.errors import InvalidRequestError
from daemon.embedded.batch.limits import DESCRIBE_MAX

T = TypeVar("T")


def take_page(
    entries: Iterable[tuple[int, T]], token: str | None, most: int, operation: str
) -> tuple[list[T], dict[str, str]]:
    """One page of entries, given with ascending positions, and the answer's `nextToken` if any.

    A token holds the position of the last entry handed out, so entries that come or go between two
    pages neither repeat others nor hide them.
    """
    after = None if token is None else _position(token, operation)
    page: list[T] = []
    last = 0
    for position, entry in entries:
        if after is not None and position <= after:
            continue
        if len(page) == most:
            return page, {"nextToken": urlsafe_b64encode(str(last).encode()).decode()}
        page.append(entry)
        last = position
    return page, {}


def describe_page(
    entries: Iterable[T], parameters: Mapping[str, Any], operation: str
) -> tuple[list[T], dict[str, str]]:
    """One page of a Describe operation; `entries` only ever grow at the end."""
    most = parameters.get("maxResults", DESCRIBE_MAX)
    return take_page(enumerate(entries), parameters.get("nextToken"), most, operation)


def _position(token: str, operation: str) -> int:
    try:
        return int(urlsafe_b64decode(token.encode()))
    except ValueError:
        problem = f"nextToken {token[:100]!r} is none that this service gave out"
        raise InvalidRequestError(operation=operation, problem=problem) from None
