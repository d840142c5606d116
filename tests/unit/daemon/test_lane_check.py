"""Lanes against what is registered: a mismatch is told with its numbers."""

from typing import Any

import pytest

from daemon.catalogue import CATALOGUE, instance_type
from daemon.dispatcher import Dispatcher
from daemon.lane_check import LaneMismatch, problems
from daemon.lanes import Lane
from daemon.ports import JobShape, Refused, Registration, World
from tests.scripted_services import ScriptedBatch, ScriptedLine
from tests.simulated import LANE, Services, settings


def lane(name: str = "inf2.xlarge") -> Lane:
    return Lane(
        name="l", profile="p", instance_type=name, job_queue="q", job_definition="d", max_vcpus=400
    )


def registered(name: str = "inf2.xlarge", **shape: Any) -> Registration:
    """What goes with the size, but for some of the shape."""
    size = instance_type(name)
    right = {"vcpus": size.slot_vcpus, "memory_mib": size.slot_memory_mib, "neuron_cores": "1"}
    return Registration(JobShape(**{**right, **shape}), {"c": (name,)})


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_slot_of_the_size_goes_with_it(name: str) -> None:
    assert [*problems(lane(name), registered(name))] == []
    assert [*problems(lane(name), registered(name, neuron_cores=None))] == []


@pytest.mark.parametrize(
    ("shape", "fitting", "what"),
    [
        ({"vcpus": 4}, 1, "leaves cores idle"),
        ({"memory_mib": 8_000}, 1, "leaves cores idle"),
        ({"vcpus": 8}, 0, "leaves cores idle"),
        ({"vcpus": 1, "memory_mib": 2_000}, 4, "find no core"),
        ({"vcpus": 0, "memory_mib": 0}, 16, "find no core"),
    ],
    ids=["a whole chip", "too much memory", "too large", "too small", "nothing"],
)
def test_more_or_fewer_jobs_than_cores_are_told_with_the_numbers(
    shape: dict[str, Any], fitting: int, what: str
) -> None:
    [told] = problems(lane(), registered(**shape))
    assert f"so {fitting} of them fit on inf2.xlarge with its 2 NeuronCores" in told
    assert what in told
    assert "2 vCPUs and at most 6,988 MiB" in told


def test_more_memory_than_needed_is_no_mistake_while_two_fit() -> None:
    assert [*problems(lane(), registered(memory_mib=5_000))] == []


@pytest.mark.parametrize("cores", ["2", "0", ""])
def test_a_job_that_would_take_both_cores_is_told(cores: str) -> None:
    [told] = problems(lane(), registered(neuron_cores=cores))
    assert "NEURON_RT_NUM_CORES" in told


@pytest.mark.parametrize(
    "types", [("inf2.8xlarge",), ("inf2.xlarge", "inf2.8xlarge"), ("inf2",), ("optimal",), ()]
)
def test_instances_of_another_size_are_told(types: tuple[str, ...]) -> None:
    found = Registration(registered().shape, {"good": ("inf2.xlarge",), "bad": types})
    [told] = problems(lane(), found)
    assert "the compute environment bad" in told


def test_what_is_not_there_is_told() -> None:
    told = [*problems(lane(), Registration(None, None))]
    assert ["job definition d" in one for one in told] == [True, False]
    assert "job queue q" in told[1]


def dispatcher(batch: ScriptedBatch) -> Dispatcher:
    world = Services().cloud.world(ScriptedLine("daemon"))
    mine = World(world.requests, world.dead_letters, world.store, batch, world.events)
    return Dispatcher(settings(), mine)


@pytest.mark.looptime
async def test_nothing_is_ordered_from_a_lane_that_does_not_fit() -> None:
    batch = ScriptedBatch()
    batch.registered = registered(vcpus=1, memory_mib=1_000)
    with pytest.raises(LaneMismatch, match=f"(?s)The lane {LANE} .*asks for 1 vCPUs"):
        await dispatcher(batch).run()


@pytest.mark.looptime
async def test_a_role_that_may_not_look_is_no_reason_to_stand_still() -> None:
    batch = ScriptedBatch()
    batch.error = Refused("batch", "AccessDenied")
    daemon = dispatcher(batch)
    daemon.started.set = daemon.stop  # type: ignore[method-assign]
    await daemon.run()
    assert daemon.stopping.is_set()
