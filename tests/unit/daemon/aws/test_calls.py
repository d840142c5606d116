import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from daemon.aws.calls import BUDGET_SECONDS, Calls
from daemon.metrics import Metrics
from daemon.ports import Refused, ServiceError, Throttled, Unavailable

pytestmark = pytest.mark.looptime

GONE = EndpointConnectionError(endpoint_url="http://127.0.0.1")
SUBMIT = ("batch", "SubmitJob")


def answered(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "SubmitJob"
    )


THROTTLE = answered("TooManyRequestsException", 429)


def failing(error: Exception, times: int = 1) -> tuple[Callable[[], Awaitable[str]], list[float]]:
    """A call that fails so many times, and when it was made."""
    made: list[float] = []

    async def call() -> str:
        made.append(asyncio.get_running_loop().time())
        if len(made) <= times:
            raise error
        return "answer"

    return call, made


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def calls(metrics: Metrics) -> Calls:
    return Calls(metrics.aws)


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
async def test_what_may_pass_is_tried_again(calls: Calls, error: Exception) -> None:
    call, made = failing(error)

    assert await calls.make(*SUBMIT, call) == "answer"
    assert len(made) == 2


@pytest.mark.parametrize(
    "error",
    [
        answered("ServerException", 500),
        answered("ServiceUnavailable", 503),
        GONE,
        TimeoutError(),
    ],
    ids=repr,
)
async def test_a_call_that_may_have_been_heard_is_not_made_twice(
    calls: Calls, error: Exception
) -> None:
    call, made = failing(error)

    with pytest.raises(Unavailable):
        await calls.make(*SUBMIT, call, repeatable=False)
    assert len(made) == 1


async def test_a_throttled_call_was_not_heard_and_is_made_again(calls: Calls) -> None:
    call, made = failing(THROTTLE)

    assert await calls.make(*SUBMIT, call, repeatable=False) == "answer"
    assert len(made) == 2


async def test_what_cannot_pass_is_refused_at_once_with_its_code(calls: Calls) -> None:
    call, made = failing(answered("AccessDenied", 403))

    with pytest.raises(Refused) as refusal:
        await calls.make(*SUBMIT, call)
    assert (refusal.value.code, len(made)) == ("AccessDenied", 1)
    assert isinstance(refusal.value, ServiceError)


@pytest.mark.parametrize(("error", "kind"), [(THROTTLE, Throttled), (GONE, Unavailable)], ids=repr)
async def test_a_call_is_given_up_when_its_budget_is_spent(
    calls: Calls, error: Exception, kind: type[Unavailable]
) -> None:
    call, made = failing(error, times=1_000)

    with pytest.raises(Unavailable) as given_up:
        await calls.make(*SUBMIT, call)
    assert type(given_up.value) is kind
    assert BUDGET_SECONDS / 2 < asyncio.get_running_loop().time() <= BUDGET_SECONDS
    assert made[-1] < BUDGET_SECONDS


async def test_a_call_that_may_have_been_heard_once_is_not_called_throttled(calls: Calls) -> None:
    errors = iter([GONE, *[THROTTLE] * 1_000])

    async def call() -> None:
        raise next(errors)

    with pytest.raises(Unavailable) as given_up:
        await calls.make(*SUBMIT, call)
    assert type(given_up.value) is Unavailable
    # The last attempt was throttled as well, or its turn did not come in time.
    assert given_up.value.code in ("TooManyRequestsException", "")


async def test_waiting_in_line_counts_towards_the_budget(metrics: Metrics) -> None:
    calls = Calls(metrics.aws, {SUBMIT: 0.1})
    call, made = failing(GONE, times=0)

    results = await asyncio.gather(
        *(calls.make(*SUBMIT, call, repeatable=False) for _ in range(10)), return_exceptions=True
    )

    assert made == pytest.approx([0, 10, 20], abs=0.1)
    assert Counter(map(type, results)) == {str: 3, Throttled: 7}
    assert "its turn did not come" in str(results[-1])
    assert asyncio.get_running_loop().time() == BUDGET_SECONDS


async def test_a_throttle_of_one_caller_slows_the_others_of_that_api_alone(calls: Calls) -> None:
    throttled, _ = failing(THROTTLE)
    call, made = failing(GONE, times=0)
    other, other_made = failing(GONE, times=0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await calls.make(*SUBMIT, throttled)

    await asyncio.gather(*(calls.make(*SUBMIT, call) for _ in range(5)))
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(calls.make("batch", "ListJobs", other) for _ in range(5)))

    gaps = [after - before for before, after in itertools.pairwise(made)]
    assert all(0.07 < gap < 0.09 for gap in gaps)
    assert other_made == [began] * 5


async def test_every_call_is_counted_by_service_and_operation(
    calls: Calls, metrics: Metrics
) -> None:
    await calls.make(*SUBMIT, failing(THROTTLE, times=2)[0])
    await calls.make(*SUBMIT, failing(GONE)[0])
    await calls.make("s3", "GetObject", failing(answered("ServiceUnavailable", 503))[0])

    def counted(what: str, service: str, operation: str) -> float | None:
        labels = {"service": service, "operation": operation}
        return metrics.registry.get_sample_value(f"whisper_fleet_aws_{what}", labels)

    assert [counted(what, *SUBMIT) for what in ("calls_total", "call_seconds_count")] == [5, 5]
    assert (counted("throttles_total", *SUBMIT), counted("retries_total", *SUBMIT)) == (2, 3)
    assert counted("throttles_total", "s3", "GetObject") == 1
    assert metrics.total("aws_calls_total") == 7
