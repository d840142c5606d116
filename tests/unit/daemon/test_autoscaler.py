import pytest

from daemon.autoscaler import floor_vcpus
from daemon.lanes import Lane


def lane(instance_type: str = "inf2.xlarge", max_vcpus: int = 16) -> Lane:
    return Lane(
        name="l",
        profile="p",
        instance_type=instance_type,
        job_queue="q",
        job_definition="d",
        compute_environment="c",
        max_vcpus=max_vcpus,
    )


@pytest.mark.parametrize(
    ("work_seconds", "warm", "floor"),
    [
        (0, False, 0),
        (0, True, 4),
        (1, False, 4),
        (200, False, 4),
        (201, False, 8),
        (100_000, False, 16),
    ],
)
def test_the_floor_follows_the_work_in_whole_instances_up_to_the_ceiling(
    work_seconds: float, warm: bool, floor: int
) -> None:
    assert floor_vcpus(lane(), work_seconds, 100, warm=warm) == floor


def test_a_large_instance_is_never_kept_up_in_part() -> None:
    big = lane("inf2.24xlarge", max_vcpus=200)

    assert floor_vcpus(big, 1_000, 100, warm=False) == 96
    assert floor_vcpus(big, 1e9, 100, warm=False) == 192
