"""No scenario costs more than it may, whatever it asks for."""

import math

import pytest

from daemon.settings import Settings
from daemon.simulation import fleet, parameters, scenario, workload
from daemon.simulation.figures import dollars
from daemon.simulation.history import History, InstanceLife
from tests import fleets

KNOWN = parameters.load(fleets.ROOT / "config" / "simulation.toml")
REQUESTS = {"one-long-file": 1, "podcast-library": 60, "call-centre": 150, "steady-trickle": 150}
USUALLY = 600
DAY_SECONDS = 86_400.0


def settings(**budget: float) -> Settings:
    usual = fleets.settings()
    autoscaler = usual.autoscaler.model_copy(update=budget)
    return usual.model_copy(update={"autoscaler": autoscaler})


def run(name: str, **budget: float) -> History:
    wanted = scenario.load(name)
    work = workload.draw(wanted, KNOWN, REQUESTS.get(name, USUALLY), seed=1)
    return fleet.run(work, KNOWN, settings(**budget), seed=1)


def rate(life: InstanceLife) -> float:
    return KNOWN.dollars_per_hour(life.instance_type, spot=life.spot)


def most_dollars_per_hour(history: History) -> float:
    changes = [(life.launched_at, rate(life)) for life in history.instances]
    changes += [(life.ended_at, -rate(life)) for life in history.instances]
    most = now = 0.0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


@pytest.mark.parametrize("name", scenario.shipped())
def test_the_fleet_never_costs_more_than_it_may_in_an_hour(name: str) -> None:
    lanes = fleet.lanes(scenario.load(name), KNOWN)
    budget = 2.5 * min(lane.dollars_per_hour for lane in lanes)

    history = run(name, dollars_per_hour_max=budget)

    assert 0 < most_dollars_per_hour(history) <= budget
    assert not any(map(math.isnan, history.settled_at)), "something was left undone"


def test_a_day_costs_no_more_than_it_may_though_work_is_left() -> None:
    free = run("burst-from-zero")
    budget = sum(dollars(life, KNOWN) for life in free.instances) / 3

    history = run("burst-from-zero", dollars_per_day_max=budget)

    by_day: dict[int, float] = {}
    for life in history.instances:
        day = int(life.launched_at // DAY_SECONDS)
        by_day[day] = by_day.get(day, 0.0) + dollars(life, KNOWN)
    assert max(by_day.values()) <= budget, by_day
    assert len(by_day) > 1, "the budget was never at its end"
