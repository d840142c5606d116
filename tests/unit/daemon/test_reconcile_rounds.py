"""Rounds of reconcile: what may fail, what may come together, and what a lane is told."""

import asyncio

import pytest

from daemon.breaker import FAILURES_TO_SHUT, Gate
from daemon.ports import Job, JobEnd, JobStatus, Unavailable
from neuron_worker.contract import ExitCode, Reason
from tests.reconciling import NO_IMAGE, OK, SPOT, Shop
from tests.simulated import LANE, LEDGER

pytestmark = pytest.mark.looptime


async def test_a_report_that_has_not_changed_is_not_read_again() -> None:
    shop = await Shop().order("a b")
    shop.job(JobStatus.RUNNING)
    shop.report(shop.outcome("a"), in_hand="b")
    await shop.round()
    shop.core.line.log.clear()
    await shop.round()
    assert shop.core.line.log == ["ListObjectsV2"]


@pytest.mark.parametrize("call", range(3))
@pytest.mark.parametrize("heard", [False, True])
async def test_an_order_that_was_not_closed_whole_is_closed_by_a_later_round(
    call: int, heard: bool
) -> None:
    shop = await Shop().order("a")
    shop.report(shop.outcome("a"))
    shop.job(JobStatus.SUCCEEDED, OK)
    # Before it: the reports' listing, two readings, a delete of the message.
    calls = shop.core.line
    calls.log.clear()
    calls.fail("", Unavailable("s3", "no answer"), heard=heard, spared=3 + call)
    with pytest.raises(Unavailable):
        await shop.round()
    await shop.round()

    assert shop.core.orders.under_way() == []
    keys = [entry.uri.key for entry in shop.services.objects.list(LEDGER.root)]
    assert {key.split("/")[1] for key in keys} == {"closed", "reports"}


async def test_the_report_of_an_ended_shard_is_not_read_when_all_of_it_is_settled() -> None:
    shop = await Shop().order("a", "b")
    shop.report(shop.outcome("a"))
    shop.report(shop.outcome("b"), shard=1)
    shop.array(JobStatus.RUNNING, of=2)
    await shop.round()
    shop.core.line.log.clear()
    shop.array(JobStatus.SUCCEEDED, of=2)
    await shop.round()
    assert "GetObject" not in shop.core.line.log
    assert shop.core.orders.under_way() == []


async def test_a_report_that_could_not_be_settled_is_settled_by_the_next_round() -> None:
    shop = await Shop().order("a b")
    shop.job(JobStatus.RUNNING)
    shop.report(shop.outcome("a"), in_hand="b")
    shop.core.line.fail("DeleteMessageBatch", Unavailable("sqs", "no answer"))
    with pytest.raises(Unavailable):
        await shop.round()
    assert sorted(shop.under_way()) == ["a", "b"]
    await shop.round()
    assert shop.under_way() == ["b"]
    assert len(shop.services.deleted) == 1


async def test_an_order_without_a_job_gets_one() -> None:
    shop = Shop()
    shop.batch.error = Unavailable("batch", "no answer")
    with pytest.raises(Unavailable):
        await shop.order("a")
    shop.batch.error = None
    await asyncio.sleep(200)
    await shop.round()
    assert [submission.name for submission in shop.batch.submitted] == [shop.placed.order_id]


async def test_one_order_that_cannot_be_looked_at_does_not_keep_the_others_waiting() -> None:
    shop = await Shop().order("a")
    await shop.order("b")
    first, second = (opened.order for opened in shop.core.orders.under_way())
    for number, order in ((1, first), (2, second)):
        job_id = f"job-{number}"
        shop.batch.jobs[job_id] = Job(job_id, JobStatus.FAILED, SPOT)
        assert order.order_id == shop.batch.submitted[number - 1].name
    shop.core.line.fail("ListObjectsV2", Unavailable("s3", "no answer"))
    with pytest.raises(Unavailable):
        await shop.round()
    assert shop.held() == ["b"]
    await shop.round()
    assert sorted(shop.held()) == ["a", "b"]


async def test_news_and_rounds_do_not_work_on_one_order_at_once() -> None:
    shop = await Shop().order("a b")
    shop.job(JobStatus.RUNNING)
    shop.report(shop.outcome("a"), in_hand="b")
    reading = shop.core.line.pause("GetObject", heard=True)
    rounding = asyncio.create_task(shop.round())
    await reading.reached.wait()
    shop.core.reconciler.ring({shop.placed.order_id})
    await shop.core.reconciler.look_at_news()
    assert shop.core.line.log.count("ListObjectsV2") == 1, "two are at one order"
    shop.report(*(shop.outcome(name) for name in "ab"))
    reading.over.set()
    await rounding
    assert shop.core.metrics.total("requests_settled_total") == 1
    assert len(shop.services.deleted) == 1
    await shop.core.reconciler.look_at_news()
    assert shop.core.metrics.total("requests_settled_total") == 2, "the news was forgotten"


async def test_a_round_goes_on_while_another_order_takes_the_news_long() -> None:
    """Else a round that waits for somebody else's work would pass for one that hangs."""
    shop = await Shop().order("a")
    first = shop.placed.order_id
    await shop.order("b")
    shop.job(JobStatus.RUNNING)
    shop.report(shop.outcome("a"))
    reading = shop.core.line.pause("GetObject", heard=True)
    shop.core.reconciler.ring({first})
    looking = asyncio.create_task(shop.core.reconciler.look_at_news())
    await reading.reached.wait()
    await shop.round()
    assert shop.core.line.log.count("ListObjectsV2") == 2
    reading.over.set()
    await looking


async def test_a_round_in_progress_ends_early_when_the_daemon_stops_and_loses_nothing() -> None:
    """Else a stop would have to wait for all that a round has to do, while S3 is slow."""
    shop = await Shop().order("a b c")
    await shop.order("d")
    shop.job(JobStatus.RUNNING)
    shop.report(*(shop.outcome(name, Reason.STORE_REFUSED) for name in "abc"))
    writing = shop.core.line.pause("PutObject", heard=True)
    rounding = asyncio.create_task(shop.round())
    await writing.reached.wait()
    shop.core.stopping.set()
    shop.core.line.log.clear()
    writing.over.set()
    await rounding
    assert len(shop.core.line.log) <= 1, "it goes on"
    assert len(shop.under_way()) == 3, "the one in hand is settled, the others are not"

    shop.core.stopping.clear()
    await shop.round()
    assert shop.held() == ["a", "b", "c"]
    assert [shop.blamed(name) for name in "abc"] == [1, 1, 1]


async def test_news_of_an_order_that_a_round_closes_meanwhile_is_no_news() -> None:
    shop = await Shop().order("a")
    shop.job(JobStatus.SUCCEEDED, OK)
    shop.report(shop.outcome("a"))
    listing = shop.core.line.pause("ListObjectsV2", heard=True)
    rounding = asyncio.create_task(shop.round())
    await listing.reached.wait()
    shop.core.reconciler.ring({shop.placed.order_id})
    await shop.core.reconciler.look_at_news()
    listing.over.set()
    await rounding
    await shop.core.reconciler.look_at_news()
    assert shop.core.line.log.count("ListObjectsV2") == 1


async def test_only_the_orders_that_have_news_are_looked_at_and_once() -> None:
    shop = await Shop().order("a")
    await shop.order("b")
    second = shop.core.orders.under_way()[1].order.order_id
    shop.core.line.log.clear()
    shop.core.reconciler.ring({second, "somebody-elses"})
    await shop.core.reconciler.look_at_news()
    await shop.core.reconciler.look_at_news()
    assert shop.core.line.log == ["ListObjectsV2"]


@pytest.mark.parametrize(
    ("end", "gate"), [(NO_IMAGE, Gate.SHUT), (SPOT, Gate.OPEN)], ids=["no image", "spot"]
)
async def test_shards_that_never_begin_shut_their_lane_unless_taken_away(
    end: JobEnd, gate: Gate
) -> None:
    shop = await Shop().order(*"abcd"[:FAILURES_TO_SHUT])
    failed = tuple(range(FAILURES_TO_SHUT))
    shop.array(JobStatus.FAILED, of=FAILURES_TO_SHUT, failed=failed)
    for index in failed:
        shop.job(JobStatus.FAILED, end, child=f":{index}")
    await shop.round()
    assert shop.core.breakers.gate(LANE) is gate


async def test_a_shard_that_began_says_that_its_lane_is_well() -> None:
    shop = await Shop().order("a", "b")
    for number in range(FAILURES_TO_SHUT):
        shop.core.breakers.failed(LANE, f"o{number}", "no image")
    shop.array(JobStatus.RUNNING, of=2)
    shop.report(in_hand="a")
    await shop.round()
    assert shop.core.breakers.gate(LANE) is Gate.OPEN


async def test_a_shard_that_did_not_begin_counts_once_however_often_it_is_settled() -> None:
    shop = await Shop().order("a")
    shop.job(JobStatus.FAILED, JobEnd(ExitCode.NO_CORE, "", "", 1))
    for _ in range(FAILURES_TO_SHUT):
        shop.core.line.fail("PutObject", Unavailable("s3", "no answer"))
        with pytest.raises(Unavailable):
            await shop.round()
    await shop.round()
    assert shop.core.breakers.gate(LANE) is Gate.OPEN
    assert shop.held() == ["a"]
