import pytest

from daemon.catalogue import CATALOGUE, InstanceType, instance_type
from daemon.embedded.batch.definitions import Shape
from daemon.embedded.batch.fleet import Capacity, ComputeEnvironment, Instance
from daemon.embedded.batch.scaling import Demand, best_fit, jobs_per_instance, plan_launches

XLARGE, BIG = instance_type("inf2.xlarge"), instance_type("inf2.24xlarge")
HALF = Shape(2, 6_900)


def environment(
    name: str = "fleet",
    least: int = 0,
    most: int = 400,
    sizes: tuple[InstanceType, ...] = (XLARGE,),
) -> ComputeEnvironment:
    return ComputeEnvironment(name, "arn", Capacity(least, most, sizes), {})


def planned(
    demands: list[Demand], *environments: ComputeEnvironment, desired_vcpus: int = 0
) -> list[tuple[str, str, int]]:
    launches = plan_launches(demands, environments, desired_vcpus)
    return [(launch.environment.name, launch.size.name, launch.instances) for launch in launches]


@pytest.mark.parametrize("size", CATALOGUE.values(), ids=CATALOGUE)
def test_an_instance_holds_one_slot_sized_job_per_core(size: InstanceType) -> None:
    assert jobs_per_instance(Shape(size.slot_vcpus, size.slot_memory_mib), size) == size.cores


@pytest.mark.parametrize(
    ("shape", "fitting"),
    [
        (Shape(2, 6_900), "inf2.xlarge"),
        (Shape(2, 20_000), "inf2.8xlarge"),
        (Shape(64, 20_000), "inf2.24xlarge"),
        (Shape(193, 1_000), None),
    ],
)
def test_the_smallest_size_that_holds_a_job_is_launched_for_it(
    shape: Shape, fitting: str | None
) -> None:
    best = best_fit(reversed(CATALOGUE.values()), shape)
    assert (best and best.name) == fitting


def test_instances_that_boot_count_for_the_jobs_that_wait() -> None:
    fleet = environment()
    fleet.launch(Instance("i-1", XLARGE, "fleet", 0.0))
    assert planned([Demand(HALF, 2, (fleet,))], fleet) == []
    assert planned([Demand(HALF, 3, (fleet,))], fleet) == [("fleet", "inf2.xlarge", 1)]


def test_instances_launched_for_the_lower_bound_count_for_the_jobs_that_wait() -> None:
    fleet = environment(least=8)
    launches = planned([Demand(HALF, 4, (fleet,))], fleet)
    assert launches == [("fleet", "inf2.xlarge", 2)]


def test_two_queues_do_not_count_on_the_same_booting_instance() -> None:
    fleet = environment()
    fleet.launch(Instance("i-1", XLARGE, "fleet", 0.0))
    demands = [Demand(HALF, 2, (fleet,)), Demand(HALF, 2, (fleet,))]
    assert planned(demands, fleet) == [("fleet", "inf2.xlarge", 1)]


def test_what_the_first_environment_may_not_launch_the_second_does() -> None:
    first, second = environment("first", most=4), environment("second", sizes=(BIG,))
    assert planned([Demand(HALF, 15, (first, second))], first, second) == [
        ("first", "inf2.xlarge", 1),
        ("second", "inf2.24xlarge", 2),
    ]


@pytest.mark.parametrize(("desired", "instances"), [(0, 1), (4, 1), (5, 2), (12, 3), (400, 3)])
def test_the_lower_bound_and_the_wish_are_rounded_up_and_the_upper_bound_down(
    desired: int, instances: int
) -> None:
    fleet = environment(least=1, most=15)
    assert planned([], fleet, desired_vcpus=desired) == [("fleet", "inf2.xlarge", instances)]
