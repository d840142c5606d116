import asyncio
import itertools

import pytest

from daemon.aws.limits import SUBMIT_JOB_PER_SECOND_OF_ACCOUNT
from daemon.aws.rate import CEILINGS, Rate

pytestmark = pytest.mark.looptime

CEILING = 10.0
BURST = 5
"""Half a second's calls."""


@pytest.fixture
def rate() -> Rate:
    return Rate("batch", "SubmitJob", CEILING)


def now() -> float:
    return asyncio.get_running_loop().time()


async def turns(rate: Rate, number: int) -> list[float]:
    """When each of so many callers who come together has its turn."""

    async def caller() -> float:
        await rate.turn()
        return now()

    return await asyncio.gather(*(caller() for _ in range(number)))


async def test_a_burst_goes_at_once_and_the_rest_at_the_rate(rate: Rate) -> None:
    moments = await turns(rate, BURST + 30)

    assert moments[:BURST] == [0.0] * BURST
    gaps = [after - before for before, after in itertools.pairwise(moments[BURST - 1 :])]
    assert gaps == pytest.approx([1 / CEILING] * 30, abs=1e-3)


async def test_no_more_than_a_burst_is_saved_up(rate: Rate) -> None:
    await turns(rate, BURST)
    await asyncio.sleep(3_600)
    moments = await turns(rate, BURST + 1)
    assert moments[-1] - moments[0] == pytest.approx(1 / CEILING, abs=1e-3)


async def test_a_throttle_halves_the_rate_for_everybody_and_ends_the_burst(rate: Rate) -> None:
    await rate.turn()
    rate.slow_down(now())
    moments = await turns(rate, 3)
    assert moments == pytest.approx([0.2, 0.4, 0.6], abs=1e-2)


async def test_calls_throttled_together_lower_the_rate_once(rate: Rate) -> None:
    called = await turns(rate, BURST)
    await asyncio.sleep(0.3)
    for called_at in called:
        rate.slow_down(called_at)
    assert rate.per_second == CEILING / 2

    await rate.turn()
    called_again = now()
    await asyncio.sleep(0.3)
    rate.slow_down(called_again)
    assert rate.per_second == CEILING / 4


async def test_a_throttle_slows_those_who_wait_already(rate: Rate) -> None:
    await turns(rate, BURST)
    waiting = asyncio.create_task(turns(rate, 2))
    await asyncio.sleep(0.05)
    rate.slow_down(now())
    assert await waiting == pytest.approx([0.05 + 0.2, 0.05 + 0.4], abs=1e-2)


async def test_the_rate_grows_with_each_success_up_to_its_ceiling_and_falls_to_its_floor(
    rate: Rate,
) -> None:
    for _ in range(20):
        await asyncio.sleep(1)
        rate.slow_down(now())
    assert rate.per_second == pytest.approx(CEILING * 0.02)

    seen = []
    for _ in range(120):
        rate.speed_up()
        seen.append(rate.per_second)
    steps = [after - before for before, after in itertools.pairwise(seen)]
    assert steps[:90] == pytest.approx([CEILING * 0.01] * 90)
    assert seen[-1] == CEILING


async def test_first_come_first_served(rate: Rate) -> None:
    await turns(rate, BURST)
    served: list[int] = []

    async def caller(number: int) -> None:
        await rate.turn()
        served.append(number)

    callers = []
    for number in range(20):
        callers.append(asyncio.create_task(caller(number)))
        await asyncio.sleep(0.03)
    await asyncio.gather(*callers)

    assert served == list(range(20))


async def test_who_leaves_the_line_takes_no_turn(rate: Rate) -> None:
    await turns(rate, BURST)
    callers = [asyncio.create_task(turns(rate, 1)) for _ in range(10)]
    await asyncio.sleep(0.05)
    for caller in callers[:9]:
        caller.cancel()
    assert await callers[9] == pytest.approx([1 / CEILING], abs=1e-2)


async def test_it_settles_just_below_what_the_service_bears(rate: Rate) -> None:
    """A service that hears four calls a second, and its caller, for ten minutes."""
    heard = throttled = 0
    tokens, filled_at = 4.0, now()
    while now() < 600:
        await rate.turn()
        tokens, filled_at = min(4.0, tokens + 4.0 * (now() - filled_at)), now()
        if tokens < 1:
            throttled += 1
            rate.slow_down(now())
        else:
            heard += 1
            tokens -= 1
            rate.speed_up()
    assert heard > 0.7 * 4 * 600
    assert throttled < 0.05 * heard


def test_the_calls_of_batch_together_stay_below_what_the_account_may_make() -> None:
    of_batch = [rate for (service, _), rate in CEILINGS.items() if service == "batch"]
    assert len(of_batch) == 7
    assert sum(of_batch) < SUBMIT_JOB_PER_SECOND_OF_ACCOUNT
