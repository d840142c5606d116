"""What is told of a recording that is cut."""

import pytest

from daemon.ports import JobStatus
from daemon.simulation import clock
from daemon.status import Stage, Standing, Watcher
from neuron_worker.contract import InHand, OutcomeKind, ShardReport
from tests.reconciling import Shop
from tests.simulated import LEDGER

pytestmark = pytest.mark.looptime


async def standing(shop: Shop) -> Standing:
    store = shop.core.reconciler.store
    [found] = await Watcher(store, LEDGER, ["a"]).look()
    return found


def working(shop: Shop, shard: int, seconds_done: float) -> None:
    """Have a range's worker report how far it is."""
    hand = InHand(
        request_id="a", started_at=clock.now(), seconds_done=seconds_done, audio_seconds=3_600.0
    )
    report = ShardReport(
        order_id=shop.placed.order_id,
        shard_index=shard,
        updated_at=clock.now(),
        in_hand=(hand,),
    )
    shop.services.objects.put(LEDGER.report(report.order_id, shard), report.to_json())


async def test_a_recording_is_as_far_as_its_ranges_are_together() -> None:
    shop = await Shop().cut("a", 2)
    shop.array(JobStatus.RUNNING, of=2)
    assert (await standing(shop)).stage is Stage.ORDERED

    working(shop, 0, 120.0)
    working(shop, 1, 30.0)
    found = await standing(shop)
    assert (found.stage, found.seconds_done, found.audio_seconds) == (Stage.RUNNING, 150.0, 3_600.0)

    whole_range = {"kind": OutcomeKind.RANGE_DONE, "audio_seconds": 1_800.0}
    shop.report(shop.outcome("a").model_copy(update=whole_range))
    found = await standing(shop)
    assert (found.stage, found.seconds_done) == (Stage.RUNNING, 1_830.0)

    shop.report(shop.outcome("a", audio_seconds=3_600.0), shard=1)
    assert (await standing(shop)).stage is Stage.DONE
