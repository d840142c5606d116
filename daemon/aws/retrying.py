"""Try again what is worth trying again: throttles, server errors, broken connections.

Full jitter, as in "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), and a budget in
seconds instead of a count, so that a slow endpoint cannot stretch a call without end.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from aiohttp import ClientError as ConnectionFault
from botocore.exceptions import BotoCoreError, ClientError
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_delay,
    wait_random_exponential,
)

from daemon.ports import Refused, Unavailable

log = structlog.get_logger()

T = TypeVar("T")

BUDGET_SECONDS = 30.0
"""How long one call is retried; the loops above come round again on their own."""

WAIT_FIRST_SECONDS = 0.2
WAIT_MAX_SECONDS = 5.0

THROTTLES = frozenset(
    {
        "OverLimit",
        "RequestThrottled",
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


def throttled(error: BaseException) -> bool:
    """Whether the service turned the call away unheard, because there were too many."""
    if not isinstance(error, ClientError):
        return False
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    code = error.response.get("Error", {}).get("Code")
    return code in THROTTLES or status == HTTP_TOO_MANY_REQUESTS


def worth_retrying(error: BaseException) -> bool:
    """Whether the same call may succeed a moment later."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return throttled(error) or status >= HTTP_SERVER_ERROR
    return isinstance(error, (BotoCoreError, ConnectionFault, TimeoutError, ConnectionError))


async def retrying(service: str, call: Callable[[], Awaitable[T]], *, repeatable: bool = True) -> T:
    """Call until it succeeds.

    A call that must not be made twice is not `repeatable`: it is made again only after a throttle,
    which says that it was not heard. Raises `Unavailable` when the budget is spent or the call may
    have been heard, and `Refused` when trying again cannot help.
    """

    async def attempt() -> T:
        return await call()

    def note(state: RetryCallState) -> None:
        cause = state.outcome.exception() if state.outcome else None
        log.info(
            "aws_call_retried", service=service, attempt=state.attempt_number, cause=str(cause)
        )

    attempts = AsyncRetrying(
        retry=retry_if_exception(worth_retrying if repeatable else throttled),
        wait=wait_random_exponential(multiplier=WAIT_FIRST_SECONDS, max=WAIT_MAX_SECONDS),
        stop=stop_after_delay(BUDGET_SECONDS),
        before_sleep=note,
        reraise=True,
    )
    try:
        return await attempts(attempt)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        kind = Unavailable if worth_retrying(error) else Refused
        raise kind(service, str(error), code) from error
    except Exception as error:
        if worth_retrying(error):
            raise Unavailable(service, str(error) or type(error).__name__) from error
        raise
