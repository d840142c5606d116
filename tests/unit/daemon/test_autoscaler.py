"""The autoscaler: what it sets, by the work and the fleet that it sees, and what it may cost."""

import asyncio
import json
import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.autoscaler import UNSEEN_MAX, affordable_instances, wanted_instances, warm_seconds
from daemon.lanes import Lane
from daemon.ports import Fleet, Outgoing, Refused
from daemon.settings import AutoscalerSettings
from daemon.simulation import clock
from tests.scripted_services import ScriptedBatch
from tests.simulated import LANE, LEDGER, Core, Services, settings

pytestmark = pytest.mark.looptime

XLARGE_DOLLARS = 0.7582
WORK_SECONDS = 6.5
"""Of a request that nothing is known of, by the settings."""


def lane(instance_type: str = "inf2.xlarge", max_vcpus: int = 16, **more: Any) -> Lane:
    return Lane(
        name="l",
        profile="p",
        instance_type=instance_type,
        job_queue="q",
        job_definition="d",
        compute_environment="c",
        max_vcpus=max_vcpus,
        **more,
    )


class Yard:
    """A daemon whose lane has a compute environment, which the test sees to."""

    def __init__(self, fleet: Fleet | None = None, **autoscaler: Any) -> None:
        self.services = Services()
        self.batch = ScriptedBatch()
        self.batch.fleet[LANE] = fleet or Fleet(0, 40, 0)
        self.core = self.daemon("daemon", **autoscaler)
        self.lane = self.core.settings.lanes[0]

    def daemon(self, name: str, **autoscaler: Any) -> Core:
        lane = settings().lanes[0].model_dump() | {"compute_environment": LANE}
        return Core(self.services, name, batch=self.batch, lanes=[lane], autoscaler=autoscaler)

    def have(self, instances: int) -> None:
        known = self.batch.fleet[LANE]
        self.batch.fleet[LANE] = Fleet(known.min_vcpus, known.max_vcpus, 4 * instances)

    async def tick(self, after_seconds: float = 0) -> None:
        await asyncio.sleep(after_seconds)
        await self.core.autoscaler.tick()

    @property
    def bounds(self) -> list[tuple[int, int]]:
        return [(low, high) for _, low, high in self.batch.bounds]


@pytest.mark.parametrize(
    ("work_seconds", "instances"), [(0, 0), (1, 1), (200, 1), (201, 2), (100_000, 4)]
)
def test_instances_follow_the_work_up_to_the_ceiling(work_seconds: float, instances: int) -> None:
    assert wanted_instances(lane(), work_seconds, 100) == instances


def test_a_large_instance_is_wanted_for_little_work_too() -> None:
    big = lane("inf2.24xlarge", max_vcpus=200)
    assert wanted_instances(big, 1, 100) == 1
    assert wanted_instances(big, 1_300, 100) == 2
    assert wanted_instances(big, 1e9, 100) == 2


lanes = st.builds(
    lane,
    st.sampled_from(["inf2.xlarge", "inf2.8xlarge", "inf2.24xlarge"]),
    st.integers(96, 1_000),
    instance_dollars_per_hour=st.floats(0.1, 20),
)


@given(st.lists(st.tuples(lanes, st.integers(0, 50)), max_size=4), st.floats(-10, 500))
def test_what_may_be_busy_costs_no_more_than_the_budget(
    fleet: Sequence[tuple[Lane, int]], budget: float
) -> None:
    some, running = [one for one, _ in fleet], [count for _, count in fleet]
    allowed = affordable_instances(some, running, budget)

    def dollars(counts: Sequence[int]) -> float:
        return sum(n * one.dollars_per_hour for n, one in zip(counts, some, strict=True))

    assert dollars(allowed) <= max(budget, 0) + 1e-6
    assert all(0 <= n <= one.instances_max for n, one in zip(allowed, some, strict=True))


def test_what_runs_is_served_first_and_then_the_first_lane() -> None:
    small, big = lane(max_vcpus=16), lane("inf2.8xlarge", max_vcpus=320)
    assert affordable_instances([small, big], [0, 0], 100) == [4, 10]
    assert affordable_instances([small, big], [0, 0], 5.2) == [4, 1]
    assert affordable_instances([small, big], [1, 2], 5.2) == [1, 2]
    assert affordable_instances([big, small], [0, 0], 5.2) == [2, 1]
    assert affordable_instances([small, big], [4, 4], 4.0) == [4, 0]
    assert affordable_instances([small, big], [4, 4], 0.0) == [0, 0]


SETTINGS = AutoscalerSettings(keep_warm_seconds=600, boot_seconds=180)


@pytest.mark.parametrize(
    ("gaps", "seconds"),
    [
        ([], 600),
        ([50] * 4, 600),
        ([50] * 5, 55),
        ([50] * 18 + [5_000] * 2, 55),
        ([50] * 12 + [5_000] * 8, 600),
        ([5_000] * 5, 180),
    ],
    ids=["nothing known", "too little known", "often", "mostly", "now and then", "seldom"],
)
def test_a_lane_stays_warm_as_long_as_work_is_likely(gaps: list[float], seconds: float) -> None:
    assert warm_seconds(gaps, SETTINGS) == pytest.approx(seconds)


async def test_what_waits_in_the_queue_has_instances_boot_before_it_is_taken() -> None:
    yard = Yard()
    await yard.tick()
    assert yard.bounds == []
    for _ in range(500):
        yard.services.send()
    await yard.tick()
    wanted = wanted_instances(yard.lane, 500 * WORK_SECONDS, 570)
    assert yard.bounds == [(4 * wanted, 40)]
    assert wanted == 3


async def test_what_is_held_and_what_runs_is_work_and_bounds_are_set_once() -> None:
    yard = Yard()
    for number in range(300):
        yard.services.send(f"r{number}", duration_seconds=600)
    await yard.core.take()
    await yard.core.place("r0 r1 r2")
    await yard.tick()
    await yard.tick(30)
    assert yard.bounds == [(4 * wanted_instances(yard.lane, 300 * 12.5, 570), 40)]


async def test_instances_boot_where_the_planner_will_order_from() -> None:
    yard = Yard()
    listed = yard.lane.model_dump()
    dear = listed | {"name": "dear", "compute_environment": "dear", "instance_dollars_per_hour": 9}
    core = Core(yard.services, "other", batch=yard.batch, lanes=[dear, listed])
    yard.batch.fleet["dear"] = Fleet(0, 40, 0)
    yard.services.send()
    await core.autoscaler.tick()
    assert yard.batch.bounds == [(LANE, 4, 40)]


async def test_the_planner_knows_how_many_slots_are_up() -> None:
    yard = Yard()
    assert yard.core.autoscaler.slots_up(yard.lane) == 0
    yard.have(3)
    await yard.tick()
    assert yard.core.autoscaler.slots_up(yard.lane) == 6


async def test_without_work_a_lane_is_warm_for_a_while_and_then_has_no_floor() -> None:
    yard = Yard(keep_warm_seconds=100)
    yard.services.send("a")
    await yard.core.take()
    await yard.tick()
    yard.core.outstanding.finish("a")
    await yard.tick(99)
    assert yard.bounds == [(4, 40)]
    await yard.tick(2)
    assert yard.bounds == [(4, 40), (0, 40)]


async def test_what_costs_too_much_per_hour_is_never_allowed() -> None:
    yard = Yard(dollars_per_hour_max=3 * XLARGE_DOLLARS + 0.01)
    for number in range(2_000):
        yard.services.send(f"r{number}", duration_seconds=3_600)
    await yard.core.take()
    await yard.tick()
    assert yard.bounds == [(12, 12)]
    assert yard.core.autoscaler.slots(yard.lane) == 6, "the planner may order no more"
    yard.have(3)
    await yard.tick(30)
    assert yard.bounds == [(12, 12)]


async def test_a_days_budget_is_not_overspent_and_the_next_day_has_its_own() -> None:
    budget = 10.0
    yard = Yard(dollars_per_day_max=budget, idle_seconds=300)
    for number in range(2_000):
        yard.services.send(f"r{number}", duration_seconds=3_600)
    await yard.core.take()
    day = clock.now().date()
    allowed = []
    while clock.now().date() == day:
        await yard.tick(30)
        allowed.append(yard.core.autoscaler.slots(yard.lane) // 2)
        # Instances boot at once; those that nothing is ordered for are gone within a shard's time.
        ends = clock.elapsed_seconds() % 2_100 < 30
        has = yard.batch.fleet[LANE].desired_vcpus // 4
        yard.have(allowed[-1] if ends else max(has, allowed[-1]))
    assert allowed[0] == 10
    assert 0 in allowed
    assert allowed[-1] == 10, "a new day"
    found = yard.services.objects.get(LEDGER.spent(str(day)))
    assert found is not None
    assert 0.8 * budget < json.loads(found[0])["dollars"] <= budget


async def test_two_daemons_add_what_is_spent_once() -> None:
    yard = Yard(dollars_per_day_max=1_000)
    yard.have(10)
    other = yard.daemon("other", dollars_per_day_max=1_000)
    for _ in range(120):
        await yard.tick(15)
        await asyncio.sleep(15)
        await other.autoscaler.tick()
    assert other.metrics.total("fleet_dollars_today") == pytest.approx(
        10 * XLARGE_DOLLARS * (3_600 - 15) / 3_600, rel=0.01
    )


async def test_a_spend_that_cannot_be_read_stays_as_it_is_and_a_new_sum_begins() -> None:
    yard = Yard(dollars_per_day_max=1_000)
    yard.have(1)
    yard.services.objects.put(LEDGER.spent(str(clock.now().date())), b"nonsense")
    await yard.tick()
    await yard.tick(30)
    assert yard.core.metrics.total("ledger_unreadable_total") == 1
    assert 0 < yard.core.metrics.total("fleet_dollars_today") < 1


async def test_what_a_lane_has_and_costs_is_told() -> None:
    yard = Yard()
    yard.have(2)
    await yard.tick()
    assert yard.core.metrics.total("lane_slots_up") == 4
    assert yard.core.metrics.total("lane_unusable") == 0
    assert yard.core.metrics.total("lane_dollars_total") == 0, "how long they run, nobody knows"

    await yard.tick(120)
    first = 2 * XLARGE_DOLLARS * 120 / 3_600
    assert yard.core.metrics.total("lane_dollars_total") == pytest.approx(first)
    yard.have(0)
    await yard.tick(120)
    assert yard.core.metrics.total("lane_dollars_total") == pytest.approx(first)
    assert yard.core.metrics.total("lane_slots_up") == 0


async def test_what_ran_while_nobody_looked_is_only_counted_for_a_while() -> None:
    yard = Yard()
    yard.have(1)
    await yard.tick()
    await yard.tick(86_400)
    seconds = UNSEEN_MAX.total_seconds()
    cost = XLARGE_DOLLARS * seconds / 3_600
    assert yard.core.metrics.total("lane_dollars_total") == pytest.approx(cost)


async def test_a_lane_that_cannot_launch_is_unusable_until_it_can() -> None:
    yard = Yard()
    yard.batch.fleet[LANE] = Fleet(0, 40, 0, fault="the role is gone")
    await yard.tick()
    assert yard.core.metrics.total("lane_unusable") == 1
    yard.batch.fleet.clear()
    await yard.tick(30)
    assert yard.core.metrics.total("lane_unusable") == 1
    yard.batch.fleet[LANE] = Fleet(0, 40, 4)
    await yard.tick(30)
    assert yard.core.metrics.total("lane_unusable") == 0
    assert yard.core.metrics.total("lane_slots_up") == 2


async def test_the_budget_is_told_from_the_start() -> None:
    core = Core(Services(), autoscaler={"dollars_per_hour_max": 5.0})
    assert core.metrics.total("budget_dollars_per_hour") == 5.0
    assert core.metrics.total("budget_dollars_per_day") == math.inf


async def test_when_batch_says_no_the_next_tick_tries_again() -> None:
    yard = Yard()
    yard.services.send("a")
    yard.batch.refusals[LANE] = Refused("batch", "the environment is being updated")
    await yard.tick()
    assert yard.bounds == []
    assert yard.core.metrics.total("lane_bounds_refused_total") == 1
    yard.batch.refusals.clear()
    await yard.tick(30)
    assert yard.bounds == [(4, 40)]


async def test_a_dry_run_sets_nothing() -> None:
    yard = Yard(dry_run=True, dollars_per_hour_max=XLARGE_DOLLARS)
    yard.services.send("a")
    await yard.tick()
    assert yard.bounds == []
    assert yard.core.autoscaler.slots(yard.lane) == 20, "the planner is held back all the same"


async def test_an_environment_that_is_not_there_hinders_no_other() -> None:
    yard = Yard()
    yard.batch.fleet.clear()
    await yard.tick()
    assert yard.bounds == []


async def test_events_of_the_queue_are_no_work() -> None:
    yard = Yard()
    yard.services.cloud.events.send(Outgoing("{}"))
    await yard.tick()
    assert yard.bounds == []
