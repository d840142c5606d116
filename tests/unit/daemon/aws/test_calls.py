from collections.abc import Awaitable, Callable

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from daemon.aws.retrying import retrying
from daemon.ports import Refused, ServiceError, Unavailable

GONE = EndpointConnectionError(endpoint_url="http://127.0.0.1")


def answered(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "SubmitJob"
    )


def failing_once(error: Exception) -> tuple[Callable[[], Awaitable[str]], list[int]]:
    calls = [0]

    async def call() -> str:
        calls[0] += 1
        if calls[0] == 1:
            raise error
        return "answer"

    return call, calls


@pytest.mark.parametrize(
    "error",
    [
        answered("TooManyRequestsException", 400),
        answered("SlowDown", 503),
        answered("Whatever", 429),
        answered("ServerException", 500),
        GONE,
        TimeoutError(),
    ],
    ids=repr,
)
async def test_what_may_pass_is_tried_again(error: Exception) -> None:
    call, calls = failing_once(error)

    assert await retrying("batch", call) == "answer"
    assert calls == [2]


@pytest.mark.parametrize(
    "error", [answered("ServerException", 500), GONE, TimeoutError()], ids=repr
)
async def test_a_call_that_may_have_been_heard_is_not_made_twice(error: Exception) -> None:
    call, calls = failing_once(error)

    with pytest.raises(Unavailable):
        await retrying("batch", call, repeatable=False)
    assert calls == [1]


async def test_a_throttled_call_was_not_heard_and_is_made_again() -> None:
    call, calls = failing_once(answered("TooManyRequestsException", 429))

    assert await retrying("batch", call, repeatable=False) == "answer"
    assert calls == [2]


async def test_what_cannot_pass_is_refused_at_once_with_its_code() -> None:
    call, calls = failing_once(answered("AccessDenied", 403))

    with pytest.raises(Refused) as refusal:
        await retrying("s3", call)
    assert (refusal.value.code, calls) == ("AccessDenied", [1])
    assert isinstance(refusal.value, ServiceError)
