"""Reconcile: what becomes of a recording that is cut, by what becomes of its ranges."""

from typing import Any

import pytest

from daemon.ports import JobStatus
from neuron_worker.contract import Effort, Outcome, OutcomeKind, Range, Reason
from tests.reconciling import DIED, SPOT, Shop
from tests.simulated import Core

pytestmark = pytest.mark.looptime


def range_done(shop: Shop, shard: int, **more: Any) -> Outcome:
    kind = {"kind": OutcomeKind.RANGE_DONE, "shard_index": shard}
    return shop.outcome("a", **more).model_copy(update=kind)


async def test_its_order_has_a_shard_for_each_range() -> None:
    shop = await Shop().cut("a", 4)

    assert [shard.items[0].range for shard in shop.placed.shards] == [
        Range(number=number, count=4) for number in range(4)
    ]
    assert [item.request_id for item in shop.placed.items()] == ["a"]
    assert list(shop.placed.messages) == ["a"]


async def test_it_is_done_when_the_last_range_is_and_not_before() -> None:
    shop = await Shop().cut("a", 2)
    shop.array(JobStatus.RUNNING, of=2)
    shop.report(range_done(shop, 0))
    await shop.round()
    assert shop.under_way() == ["a"]
    assert shop.services.deleted == []

    shop.report(shop.outcome("a"), shard=1)
    await shop.round()
    assert shop.under_way() == []
    assert len(shop.services.deleted) == 1
    shop.array(JobStatus.SUCCEEDED, of=2)
    await shop.round()
    assert shop.services.open_orders() == []


async def test_what_befalls_a_range_counts_only_once_the_others_have_ended() -> None:
    shop = await Shop().cut("a", 2)
    shop.array(JobStatus.RUNNING, of=2, failed=(1,))
    shop.job(JobStatus.FAILED, DIED, child=":1")
    shop.report(in_hand="a")
    shop.report(in_hand="a", shard=1)
    await shop.round()
    assert shop.under_way() == ["a"]

    shop.report(range_done(shop, 0))
    shop.array(JobStatus.FAILED, of=2, failed=(1,))
    await shop.round()

    assert shop.held() == ["a"]
    assert shop.reasons("a") == [Reason.WORKER_DIED], "one try, whatever the number of ranges"
    assert shop.services.open_orders() == []


async def test_a_bad_recording_is_given_up_as_soon_as_one_range_says_so() -> None:
    shop = await Shop().cut("a", 2)
    shop.array(JobStatus.RUNNING, of=2)
    shop.report(in_hand="a")
    shop.report(shop.outcome("a", Reason.NOT_AUDIO), shard=1)
    await shop.round()

    assert shop.under_way() == []
    assert shop.reasons("a") == [Reason.NOT_AUDIO]
    assert len(shop.core.orders.under_way()) == 1, "a worker is still at its range"


async def test_a_crash_weighs_more_than_an_instance_that_was_taken_away() -> None:
    shop = await Shop().cut("a", 2)
    shop.array(JobStatus.FAILED, of=2, failed=(0, 1))
    shop.job(JobStatus.FAILED, SPOT, child=":0")
    shop.job(JobStatus.FAILED, DIED, child=":1")
    shop.report(in_hand="a")
    shop.report(in_hand="a", shard=1)
    await shop.round()

    assert shop.held() == ["a"]
    assert shop.reasons("a") == [Reason.WORKER_DIED]
    assert shop.blamed("a") == 1


async def test_ranges_that_nobody_joined_are_tried_again_without_blame() -> None:
    shop = await Shop().cut("a", 2)
    shop.report(range_done(shop, 0))
    shop.report(range_done(shop, 1), shard=1)
    shop.array(JobStatus.SUCCEEDED, of=2)
    await shop.round()

    assert shop.held() == ["a"]
    assert shop.blamed("a") == 0


async def test_a_retry_is_cut_into_as_many_ranges_so_that_none_is_done_twice() -> None:
    shop = await Shop().cut("a", 2)
    shop.array(JobStatus.FAILED, of=2, failed=(0, 1))
    for child in (":0", ":1"):
        shop.job(JobStatus.FAILED, SPOT, child=child)
    await shop.round()

    owed = shop.core.outstanding.get("a")
    assert owed is not None
    assert owed.ranges == 2
    assert owed.item.range is None


async def test_who_adopts_its_order_answers_for_it_as_a_whole() -> None:
    shop = await Shop().cut("a", 2)
    other = Core(shop.services, "other", batch=shop.batch)
    await other.orders.adopt()

    owed = other.outstanding.get("a")
    assert owed is not None
    assert owed.ranges == 2
    assert owed.item.range is None
    assert len(other.outstanding) == 1
    assert len(owed.messages) == 1


EFFORT = Effort(decode_seconds=30.0, windows=9, tokens=400, peak_memory_bytes=10**9)


async def test_what_ranges_took_is_counted_once_for_each_and_with_who_joined_them() -> None:
    shop = await Shop().cut("a", 3)
    total = shop.core.metrics.total
    shop.array(JobStatus.RUNNING, of=3)
    done: dict[str, Any] = {"effort": EFFORT, "wall_seconds": 50.0}
    shop.report(range_done(shop, 0, **done))
    for updates in range(3):
        await shop.round()
        assert total("worker_windows_total") == 9, f"after {updates} updates"
        shop.report(range_done(shop, 0, **done), attempt=updates + 2)
    shop.report(range_done(shop, 1, **done), shard=1)
    await shop.round()
    assert total("worker_windows_total") == 18
    assert total("requests_settled_total") == 0

    shop.report(shop.outcome("a", audio_seconds=7_200, **done), shard=2)
    await shop.round()
    shop.array(JobStatus.SUCCEEDED, of=3)
    await shop.round()
    assert shop.services.open_orders() == []
    assert total("worker_windows_total") == 27
    assert total("worker_seconds_total") == 150
    assert total("worker_stage_seconds_total") == 90
    assert total("worker_peak_memory_bytes_count") == 3
    assert total("audio_seconds_total") == 7_200, "the recording counts once"


async def test_who_adopts_a_cut_recording_counts_the_ranges_that_it_sees() -> None:
    shop = await Shop().cut("a", 2)
    shop.array(JobStatus.RUNNING, of=2)
    shop.report(range_done(shop, 0, effort=EFFORT))
    other = Core(shop.services, "other", batch=shop.batch)
    await other.orders.adopt()
    for _ in range(3):
        await other.reconciler.round()
    assert other.metrics.total("worker_windows_total") == 9


async def test_costs_are_learned_from_ranges_and_not_from_who_joined_them() -> None:
    shop = await Shop().cut("a", 2)
    before = shop.costs
    shop.array(JobStatus.RUNNING, of=2)
    shop.report(shop.outcome("a", audio_seconds=7_200), took_seconds=60)
    await shop.round()
    assert shop.costs == before

    shop = await Shop().cut("a", 2)
    shop.array(JobStatus.RUNNING, of=2)
    shop.report(range_done(shop, 1, audio_seconds=3_600), shard=1, took_seconds=600)
    await shop.round()
    assert shop.costs != before
