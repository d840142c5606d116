"""Try again what is worth trying again: throttles, server errors, broken connections.

Full jitter, as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), and a deadline
instead of a count, so that a slow endpoint cannot stretch a call without end.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiohttp import ClientError as ConnectionFault
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    wait_random_exponential,
)

from daemon.ports import Refused, Throttled, Unavailable

log = structlog.get_logger()

T = TypeVar("T")

WAIT_FIRST_SECONDS = 0.2
WAIT_MAX_SECONDS = 5.0

THROTTLES = frozenset(
    {
        "BandwidthLimitExceeded",
        "KmsThrottled",
        "OverLimit",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Error codes that mean "later": SQS, S3 and Batch each have their own (botocore's retry data)."""

HTTP_TOO_MANY_REQUESTS = 429
HTTP_SERVER_ERROR = 500
HTTP_UNAVAILABLE = 503


class NoTurn(Exception):
    """{operation} is throttled, and its turn did not come in time."""

    def __init__(self, operation: str) -> None:
        super().__init__(str(self.__doc__).format(operation=operation))


def throttled(error: BaseException) -> bool:
    """Whether the call went unheard because there were too many."""
    if isinstance(error, NoTurn):
        return True
    if not isinstance(error, ClientError):
        return False
    return _code(error) in THROTTLES or _status(error) == HTTP_TOO_MANY_REQUESTS


def overloaded(error: BaseException) -> bool:
    """Whether the service would rather have fewer calls, though it may have heard this one."""
    return throttled(error) or (
        isinstance(error, ClientError) and _status(error) == HTTP_UNAVAILABLE
    )


def worth_retrying(error: BaseException) -> bool:
    """Whether the same call may succeed a moment later."""
    if isinstance(error, ClientError) and _status(error) >= HTTP_SERVER_ERROR:
        return True
    return throttled(error) or isinstance(
        error, (BotoCoreError, ConnectionFault, TimeoutError, ConnectionError)
    )


def _status(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


async def retrying(
    service: str,
    operation: str,
    attempt: Callable[[], Awaitable[T]],
    deadline: float,
    before_retry: Callable[[], None],
    *,
    repeatable: bool,
) -> T:
    """Attempt until it succeeds; none is begun after the deadline, which is the loop's own time.

    What is not `repeatable` is attempted again only after a throttle. Raises `Throttled` when the
    deadline has come and no attempt was heard, `Unavailable` when one may have been, and `Refused`
    when trying again cannot help.
    """
    try:
        # Nearly every call ends here, and tenacity takes as long as signing does.
        return await attempt()
    except Exception as error:
        failed: list[Exception] = [error]

    async def next_attempt() -> T:
        if failed:
            raise failed.pop()
        return await attempt()

    loop = asyncio.get_running_loop()
    maybe_heard = False

    def too_late(state: RetryCallState) -> bool:
        return loop.time() + state.upcoming_sleep >= deadline

    def note(state: RetryCallState) -> None:
        nonlocal maybe_heard
        cause = state.outcome.exception() if state.outcome else None
        maybe_heard = maybe_heard or cause is None or not throttled(cause)
        before_retry()
        log.info(
            "aws_call_retried",
            service=service,
            operation=operation,
            attempt=state.attempt_number,
            cause=str(cause),
        )

    attempts = AsyncRetrying(
        retry=retry_if_exception(worth_retrying if repeatable else throttled),
        wait=wait_random_exponential(multiplier=WAIT_FIRST_SECONDS, max=WAIT_MAX_SECONDS),
        stop=too_late,
        sleep=asyncio.sleep,
        before_sleep=note,
        reraise=True,
    )
    try:
        return await attempts(next_attempt)
    except Exception as error:
        text = str(error) or type(error).__name__
        code = _code(error) if isinstance(error, ClientError) else ""
        if throttled(error) and not maybe_heard:
            raise Throttled(service, text, code) from error
        if worth_retrying(error):
            raise Unavailable(service, text, code) from error
        if isinstance(error, ClientError):
            raise Refused(service, text, code) from error
        raise
