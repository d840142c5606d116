import pytest

from daemon.simulation.bound import bound
from tests import fleets

START_UP = fleets.BOOT + fleets.EVALUATE + fleets.PULL + fleets.START + fleets.LOAD


def test_a_dump_is_drained_by_all_cores_after_one_start() -> None:
    told = bound(fleets.workload([0, 0, 0], [400, 300, 100]), fleets.parameters())

    assert told.makespan_seconds == START_UP + 800 / 4


def test_the_last_arrival_cannot_end_before_it_comes() -> None:
    told = bound(fleets.workload([0, 10_000], [400, 40]), fleets.parameters())

    assert told.makespan_seconds == 10_000 + 10


def test_the_cost_is_full_cores_and_one_start() -> None:
    told = bound(fleets.workload([0, 10_000], [3_000, 600]), fleets.parameters())

    # A core of inf2.xlarge costs half a dollar; two of them start up.
    before = fleets.BOOT + fleets.PULL + fleets.START + fleets.LOAD
    assert told.dollars == pytest.approx((3_600 + 2 * before) / 3_600 * 0.5, abs=1e-6)
    assert told.dollars_per_audio_hour == pytest.approx(told.dollars, abs=1e-6)


def test_the_cheapest_lane_counts() -> None:
    lanes = [
        {"instance_type": "inf2.8xlarge", "chips_max": 1},
        {"instance_type": "inf2.xlarge", "chips_max": 1, "spot": True},
    ]
    told = bound(fleets.workload([0], [36_000], lanes=lanes), fleets.parameters())

    assert told.dollars == pytest.approx(2.5, rel=0.02)
