"""Reconcile: what becomes of an order, by its job and its reports."""

import asyncio
from datetime import timedelta

import pytest

from daemon.ports import JobEnd, JobStatus
from daemon.reconcile import JOB_MISSING_GRACE
from neuron_worker.contract import Reason
from tests.reconciling import DIED, SPOT, Shop

pytestmark = pytest.mark.looptime


async def test_what_is_reported_is_settled_while_the_job_goes_on() -> None:
    shop = await Shop().order("a b")
    shop.job(JobStatus.RUNNING)
    shop.report(shop.outcome("a"), in_hand="b")
    await shop.round()

    assert shop.under_way() == ["b"]
    assert len(shop.services.deleted) == 1
    assert len(shop.core.orders.under_way()) == 1


async def test_an_order_is_closed_once_its_job_has_ended_and_nothing_is_owed() -> None:
    shop = await Shop().order("a", "b")
    shop.report(shop.outcome("a"))
    shop.report(shop.outcome("b"), shard=1)
    shop.array(JobStatus.RUNNING, of=2)
    await shop.round()
    assert shop.under_way() == []
    assert len(shop.core.orders.under_way()) == 1, "its job still runs"
    shop.array(JobStatus.SUCCEEDED, of=2)
    await shop.round()

    assert shop.core.orders.under_way() == []
    assert shop.services.open_orders() == []


async def test_a_shard_whose_worker_died_blames_what_it_had_in_hand() -> None:
    shop = await Shop().order("a b c")
    shop.report(shop.outcome("a"), in_hand="b")
    shop.job(JobStatus.FAILED, DIED)
    await shop.round()

    assert shop.held() == ["b", "c"]
    assert [shop.blamed(name) for name in "bc"] == [1, 0]
    assert shop.core.orders.under_way() == []


async def test_a_report_of_an_earlier_attempt_blames_nobody() -> None:
    """Batch tried again, and the second attempt never came to its first word."""
    shop = await Shop().order("a b")
    shop.report(in_hand="a", attempt=1)
    shop.job(JobStatus.FAILED, JobEnd(139, "", "", attempts=2))
    await shop.round()

    assert shop.held() == ["a", "b"]
    assert [shop.blamed(name) for name in "ab"] == [0, 0]


async def test_a_child_that_failed_is_settled_while_its_siblings_run() -> None:
    shop = await Shop().order("a", "b", "c", "d")
    shop.report(in_hand="b", shard=1)
    shop.report(in_hand="a")
    shop.array(JobStatus.RUNNING, of=4, failed=(1,))
    shop.job(JobStatus.FAILED, DIED, child=":1")
    await shop.round()

    assert shop.held() == ["b"]
    assert sorted(shop.under_way()) == ["a", "c", "d"]
    assert shop.blamed("b") == 1


async def test_a_failed_child_that_is_not_described_yet_is_read_again() -> None:
    shop = await Shop().order("a", "b")
    shop.report(in_hand="b", shard=1)
    shop.array(JobStatus.RUNNING, of=2, failed=(1,))
    await shop.round()
    assert sorted(shop.under_way()) == ["a", "b"]
    shop.job(JobStatus.FAILED, DIED, child=":1")
    await shop.round()
    assert shop.held() == ["b"]


async def test_a_second_child_that_fails_is_told_from_the_first() -> None:
    shop = await Shop().order("a", "b", "c")
    for failed in ((1,), (1, 2)):
        shop.array(JobStatus.RUNNING, of=3, failed=failed)
        for index in failed:
            shop.job(JobStatus.FAILED, SPOT, child=f":{index}")
        await shop.round()
    assert sorted(shop.held()) == ["b", "c"]
    assert shop.reasons("b") == [Reason.NOT_STARTED]
    assert shop.services.record("b").outcomes[0].order_id == shop.placed.order_id


async def test_when_an_array_has_ended_every_request_of_it_is_settled() -> None:
    shop = await Shop().order("a", "b", "c")
    shop.report(shop.outcome("a"))
    shop.report(in_hand="b", shard=1)
    shop.array(JobStatus.FAILED, of=3, failed=(1,))
    shop.job(JobStatus.FAILED, DIED, child=":1")
    await shop.round()

    assert sorted(shop.held()) == ["b", "c"]
    assert [shop.blamed(name) for name in "bc"] == [1, 0]
    assert shop.core.orders.under_way() == []


@pytest.mark.parametrize("known", [False, True], ids=["never known", "known before"])
async def test_a_job_that_batch_does_not_know_any_more_is_lost_after_a_while(known: bool) -> None:
    shop = await Shop().order("a", "b")
    shop.report(shop.outcome("a"), shard=0)
    if known:
        shop.array(JobStatus.RUNNING, of=2)
        await shop.round()
        shop.batch.jobs.clear()
    await asyncio.sleep((JOB_MISSING_GRACE - timedelta(seconds=1)).total_seconds())
    await shop.round()
    assert shop.under_way() == ["b"]
    await asyncio.sleep(2)
    await shop.round()

    assert shop.held() == ["b"]
    assert shop.blamed("b") == 0
    assert shop.core.orders.under_way() == []
