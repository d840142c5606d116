"""What the daemon learns of the work that it hands out, and how it plans by it."""

import asyncio
from datetime import timedelta

import pytest

from daemon.estimator import Costs
from daemon.ports import JobStatus
from daemon.request import Hints
from daemon.simulation import clock
from neuron_worker.contract import Reason
from tests.reconciling import OK, Shop
from tests.simulated import LANE, Core, Services

pytestmark = pytest.mark.looptime

FIRST_GUESS = Costs(30, 0.5, 0.02)


async def test_a_shard_that_is_done_tells_what_work_takes() -> None:
    shop = await Shop().order("a b")
    shop.job(JobStatus.RUNNING)
    await asyncio.sleep(10_000)
    done = [shop.outcome(name, audio_seconds=10_000) for name in "ab"]
    shop.report(done[0], took_seconds=2_000)
    await shop.round()
    assert shop.costs == FIRST_GUESS, "the shard is not over"
    shop.report(*done, took_seconds=4_000)
    await shop.round()

    assert shop.costs.of_shard(2, 20_000) == pytest.approx(4_000, rel=0.1)
    assert shop.core.metrics.total("shard_estimate_ratio_sum") == pytest.approx(4_000 / 60)
    known = shop.costs
    shop.job(JobStatus.SUCCEEDED, OK)
    await shop.round()
    assert shop.costs == known, "it counts once"


@pytest.mark.parametrize("why", ["second attempt", "done before", "failed", "no start"])
async def test_a_shard_that_did_something_else_as_well_tells_nothing(why: str) -> None:
    shop = await Shop().order("a b")
    shop.job(JobStatus.RUNNING)
    await asyncio.sleep(10_000)
    a = shop.outcome("a", Reason.NOT_AUDIO if why == "failed" else None, audio_seconds=9)
    if why == "done before":
        a = a.model_copy(update={"finished_at": clock.now() - timedelta(seconds=5_000)})
    shop.report(
        a,
        shop.outcome("b", audio_seconds=9),
        attempt=2 if why == "second attempt" else 1,
        took_seconds=None if why == "no start" else 4_000,
    )
    await shop.round()
    assert shop.under_way() == []
    assert shop.costs == FIRST_GUESS


async def test_how_long_recordings_are_is_learned_as_they_are_done() -> None:
    shop = await Shop().order("a b")
    shop.job(JobStatus.RUNNING)
    shop.report(*(shop.outcome(name, audio_seconds=10) for name in "ab"))
    await shop.round()
    assert shop.core.estimator.audio_seconds(Hints()) == pytest.approx((300 + 20) / 3, rel=0.01)


async def test_a_copy_raises_the_priority_and_brings_the_deadline_nearer() -> None:
    services = Services()
    soon, later = "2026-01-01T01:00:00Z", "2026-01-01T09:00:00Z"
    services.send("a", priority=3, deadline=later)
    services.send("a", priority=-1, deadline=soon)
    services.send("b")
    services.send("b", deadline=later)
    core = Core(services)
    await core.take()
    a, b = core.outstanding.held()
    assert (a.priority, a.deadline and a.deadline.hour) == (3, 1)
    assert (b.priority, b.deadline and b.deadline.hour) == (0, 9)


async def test_whoever_adopts_an_order_knows_how_its_requests_were_asked_for() -> None:
    services = Services()
    services.send("a", priority=3, deadline="2026-01-01T09:00:00Z", duration_seconds=77)
    core = Core(services)
    await core.take()
    await core.place("a")
    other = Core(services, "other")
    await other.orders.adopt()
    [owed] = other.outstanding.ordered()
    assert (owed.priority, owed.deadline and owed.deadline.hour) == (3, 9)
    assert owed.hints.duration_seconds == 77


async def test_a_slot_is_taken_until_all_of_its_shard_is_settled() -> None:
    shop = await Shop().order("a b", "c", "d", "e")
    assert shop.core.orders.slots_taken(LANE) == 4
    shop.array(JobStatus.RUNNING, of=4)
    shop.report(shop.outcome("a"))
    shop.report(shop.outcome("c"), shard=1)
    await shop.round()
    assert shop.core.orders.slots_taken(LANE) == 3
    assert shop.core.orders.slots_taken("other") == 0


async def test_what_is_adopted_while_an_earlier_order_is_placed_is_not_placed_again() -> None:
    services = Services()
    core = Core(services, planner={"order_requests_max": 2, "linger_seconds": 0})
    other = Core(services, "other")
    for name in "abcd":
        services.send(name)
    await core.take()
    pause = core.line.pause("PutObject")
    placing = asyncio.create_task(core.plan())
    await pause.reached.wait()
    [first] = core.orders.under_way()
    left = next(name for name in "abcd" if core.outstanding.is_held(name))
    services.send(left)
    await other.take()
    await other.place(left)
    await core.orders.adopt()
    pause.over.set()
    await placing

    assert core.orders.under_way()[0] is first
    ordered = [item.request_id for order in services.open_orders() for item in order.items()]
    assert ordered.count(left) == 1
    await core.plan()
    assert core.outstanding.held() == []


async def test_a_copy_that_another_daemon_has_ordered_is_not_ordered_again() -> None:
    services = Services()
    one, other = Core(services, "one"), Core(services, "other")
    services.send("a")
    await one.take()
    services.send("a")
    await other.take()
    await asyncio.sleep(60)
    await one.plan()
    assert len(services.jobs()) == 1
    await other.plan()

    assert len(services.jobs()) == 1
    assert other.outstanding.held() == []
    [owed] = other.outstanding.ordered()
    assert len(owed.messages) == 2, "its own message is deleted with the other"


async def test_when_the_window_is_full_what_is_held_goes_at_once() -> None:
    services = Services()
    core = Core(services, intake={"wait_seconds": 0, "outstanding_max": 2})
    services.send("a")
    await core.take()
    await core.plan()
    assert services.jobs() == []
    services.send("b")
    await core.take()
    await core.plan()
    assert len(services.jobs()) == 1
    [order] = services.open_orders()
    assert [[item.request_id for item in shard.items] for shard in order.shards] == [["a"], ["b"]]


async def test_an_order_that_gets_no_instance_starves_its_lane_until_it_does() -> None:
    shop = await Shop().order("a", "b")
    shop.array(JobStatus.PENDING, of=2)
    for after_seconds, starved in ((899, False), (2, True)):
        await asyncio.sleep(after_seconds)
        await shop.round()
        assert shop.core.orders.is_starved(LANE, slots=20) is starved
    shop.job(JobStatus.PENDING, children={JobStatus.RUNNABLE: 1, JobStatus.RUNNING: 1})
    await shop.round()
    assert not shop.core.orders.is_starved(LANE, slots=20)


async def test_an_order_that_waits_for_its_turn_is_no_sign_of_starving() -> None:
    shop = await Shop().order("a", "b")
    shop.job(JobStatus.PENDING, children={JobStatus.RUNNING: 2})
    await shop.round()
    shop.services.send("c")
    await shop.core.take()
    await shop.core.place("c")
    await asyncio.sleep(1_000)
    assert not shop.core.orders.is_starved(LANE, slots=2)
    assert shop.core.orders.is_starved(LANE, slots=4)


async def test_interruptions_are_remembered_by_lane() -> None:
    shop = await Shop().order("a b c")
    shop.job(JobStatus.RUNNING)
    await shop.core.settlement.settle(
        [shop.outcome("a"), shop.outcome("b", Reason.INTERRUPTED)], LANE, lambda _: "job-1"
    )
    assert shop.core.estimator.lost_share(LANE) == pytest.approx(1 / 3, rel=0.01)
    assert shop.core.estimator.lost_share("other") == 0
