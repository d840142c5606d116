"""What is measured by looking: ages, jobs by their state, letters."""

import asyncio
from datetime import timedelta

import pytest

from daemon.ports import Job, JobStatus, Outgoing, Unavailable
from daemon.simulation import clock
from neuron_worker.contract import Reason
from tests.reconciling import OK, RUNNING, SPOT, Shop
from tests.simulated import LANE, Core, Services, settings

pytestmark = pytest.mark.looptime


def jobs(core: Core) -> dict[str, float]:
    """The lane's jobs by state, where there are any."""
    found = {
        status.lower(): core.metrics.registry.get_sample_value(
            "whisper_fleet_lane_jobs", {"lane": LANE, "status": status.lower()}
        )
        for status in JobStatus
        if not status.ended
    }
    assert None not in found.values()
    return {status: count for status, count in found.items() if count}


async def test_the_oldest_request_is_as_old_as_its_message() -> None:
    services = Services()
    core = Core(services)
    await core.gauges.measure()
    assert core.metrics.total("oldest_request_age_seconds") == 0

    services.send("old")
    await asyncio.sleep(40)
    services.send("young")
    await core.take()
    await asyncio.sleep(2)
    await core.gauges.measure()
    assert core.metrics.total("oldest_request_age_seconds") == pytest.approx(42)

    await core.place("old young")
    await asyncio.sleep(3)
    await core.gauges.measure()
    assert core.metrics.total("oldest_request_age_seconds") == pytest.approx(45)
    core.outstanding.finish("old")
    await core.gauges.measure()
    assert core.metrics.total("oldest_request_age_seconds") == pytest.approx(5)


async def test_a_restart_makes_no_request_younger() -> None:
    services = Services()
    services.send("old")
    await asyncio.sleep(40)
    core = Core(services)
    await core.take()
    await core.place("old")

    other = Core(services, "other")
    await other.orders.adopt()
    await other.gauges.measure()
    assert other.metrics.total("oldest_request_age_seconds") == pytest.approx(40)


async def test_an_order_of_an_older_daemon_is_as_old_as_it_knows() -> None:
    services = Services()
    services.send("old")
    await asyncio.sleep(40)
    core = Core(services)
    await core.take()
    owed = core.outstanding.get("old")
    assert owed is not None
    owed.messages = {
        name: message.model_copy(update={"sent_at": None})
        for name, message in owed.messages.items()
    }
    await asyncio.sleep(10)
    await core.gauges.measure()
    assert core.metrics.total("oldest_request_age_seconds") == pytest.approx(10)


async def test_a_queue_whose_clock_is_ahead_makes_no_age_below_zero() -> None:
    services = Services()
    services.cloud.requests.skew_seconds = 30.0
    services.send("a")
    core = Core(services)
    await core.take()
    await core.gauges.measure()
    assert core.metrics.total("oldest_request_age_seconds") == 0


async def test_all_dead_letters_are_counted_hidden_or_not() -> None:
    services = Services()
    for _ in range(3):
        services.cloud.dead_letters.send(Outgoing("{}"))
    await services.cloud.world(Core(services, "reader").line).dead_letters.receive(1, 0, 600)
    core = Core(services)
    await core.gauges.measure()
    assert core.metrics.total("dead_letters_waiting") == 3


async def test_what_needs_no_queue_is_measured_while_none_can_be_asked() -> None:
    services = Services()
    services.send("a")
    core = Core(services)
    await core.take()
    core.line.fail("GetQueueAttributes", Unavailable("sqs", "no answer"))
    with pytest.raises(Unavailable):
        await core.gauges.measure()
    assert core.metrics.total("requests_held") == 1


async def test_shards_are_told_by_state_and_an_array_is_none_itself() -> None:
    shop = await Shop().order("a", "b", "c", "d")
    core = shop.core
    await core.gauges.measure()
    assert jobs(core) == {}, "Batch was not asked yet"

    shop.job(JobStatus.SUBMITTED)
    await shop.round()
    await core.gauges.measure()
    assert jobs(core) == {"submitted": 4}, "children that Batch does not list yet"

    children = {JobStatus.RUNNABLE: 1, JobStatus.RUNNING: 2, JobStatus.SUCCEEDED: 1}
    shop.job(JobStatus.PENDING, children=children)
    await shop.round()
    await core.gauges.measure()
    assert jobs(core) == {"runnable": 1, "running": 2}


async def test_a_single_shard_is_its_own_job_and_gone_with_its_order() -> None:
    shop = await Shop().order("a")
    shop.job(JobStatus.STARTING)
    await shop.round()
    await shop.core.gauges.measure()
    assert jobs(shop.core) == {"starting": 1}

    shop.report(shop.outcome("a"))
    shop.job(JobStatus.SUCCEEDED, OK)
    await shop.round()
    await shop.core.gauges.measure()
    assert jobs(shop.core) == {}


async def test_jobs_of_other_lanes_are_not_its_own() -> None:
    shop = await Shop().order("a")
    [lane] = settings().lanes
    two = [lane.model_dump(), lane.model_dump() | {"name": "other"}]
    core = Core(shop.services, "second", batch=shop.batch, lanes=two)
    await core.orders.adopt()
    shop.job(JobStatus.RUNNABLE)
    for _ in range(2):
        await core.reconciler.round()
    await core.gauges.measure()
    assert jobs(core) == {"runnable": 1}
    value = core.metrics.registry.get_sample_value
    assert value("whisper_fleet_lane_jobs", {"lane": "other", "status": "runnable"}) == 0
    assert value("whisper_fleet_lane_unstarted_seconds", {"lane": "other"}) == 0


async def test_an_order_waits_until_one_of_its_jobs_begins() -> None:
    shop = await Shop().order("a", "b")
    made_at = clock.now()
    shop.array(JobStatus.PENDING, of=2)
    shop.job(JobStatus.PENDING, children={JobStatus.RUNNABLE: 2})
    await shop.round()
    await asyncio.sleep(100)
    await shop.core.gauges.measure()
    assert shop.core.metrics.total("lane_unstarted_seconds") == pytest.approx(100)

    other = Core(shop.services, "other", batch=shop.batch)
    await other.orders.adopt()
    await other.gauges.measure()
    assert other.metrics.total("lane_unstarted_seconds") == 0, "nobody has looked"
    for _ in range(2):
        await other.reconciler.round()
    await other.gauges.measure()
    waited = clock.now() - made_at
    assert waited >= timedelta(seconds=100)
    assert other.metrics.total("lane_unstarted_seconds") == pytest.approx(waited.total_seconds())

    shop.job(JobStatus.PENDING, children={JobStatus.RUNNABLE: 1, JobStatus.STARTING: 1})
    await shop.round()
    await shop.core.gauges.measure()
    assert shop.core.metrics.total("lane_unstarted_seconds") == 0


async def test_of_several_orders_that_wait_the_oldest_is_told() -> None:
    shop = await Shop().order("a")
    await asyncio.sleep(60)
    shop.services.send("b")
    await shop.core.take()
    await shop.core.place("b")
    for job_id in ("job-1", "job-2"):
        shop.batch.jobs[job_id] = Job(job_id, JobStatus.RUNNABLE, RUNNING)
    await shop.round()
    await asyncio.sleep(5)
    await shop.core.gauges.measure()
    assert shop.core.metrics.total("lane_unstarted_seconds") == pytest.approx(65)


async def test_the_share_that_spot_takes_is_told() -> None:
    shop = await Shop().order("a")
    await shop.core.gauges.measure()
    assert shop.core.metrics.total("lane_lost_share") == 0
    shop.report(in_hand="a")
    shop.job(JobStatus.FAILED, SPOT)
    await shop.round()
    assert shop.reasons("a") == [Reason.INTERRUPTED]
    await shop.core.gauges.measure()
    assert shop.core.metrics.total("lane_lost_share") == shop.core.estimator.lost_share(LANE) > 0
