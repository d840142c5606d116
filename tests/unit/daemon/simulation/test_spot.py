import pytest

from daemon.simulation.spot import LOOK_SECONDS, Reclaims
from tests import fleets

STORM = {"start_seconds": 100, "end_seconds": 200, "losses_per_instance_hour": 90}


def test_a_storm_has_its_own_rate() -> None:
    reclaims = Reclaims(fleets.scenario(storms=[STORM]), fleets.parameters(), seed=1)

    assert [reclaims.rate(at) for at in (99, 100, 199, 200)] == [0, 90, 90, 0]


def test_instances_are_lost_at_the_rate() -> None:
    reclaims = Reclaims(fleets.scenario(storms=[STORM]), fleets.parameters(), seed=1)
    instances = [str(number) for number in range(10_000)]

    assert reclaims.lost(instances, 50) == []
    share = len(reclaims.lost(instances, 150)) / len(instances)
    assert share == pytest.approx(90 * LOOK_SECONDS / 3_600, rel=0.15)
