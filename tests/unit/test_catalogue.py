import pytest

from daemon.catalogue import CATALOGUE, UnknownInstanceTypeError, instance_type


@pytest.mark.parametrize(
    ("name", "cores", "slot_vcpus"),
    [
        ("inf2.xlarge", 2, 2),
        ("inf2.8xlarge", 2, 16),
        ("inf2.24xlarge", 12, 8),
        ("inf2.48xlarge", 24, 8),
    ],
)
def test_a_slot_is_one_cores_share_of_the_vcpus(name: str, cores: int, slot_vcpus: int) -> None:
    size = instance_type(name)
    assert (size.cores, size.slot_vcpus) == (cores, slot_vcpus)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_slots_of_an_instance_fit_in_its_memory_with_room_to_spare(name: str) -> None:
    size = instance_type(name)
    assert size.slot_memory_mib * size.cores <= size.usable_memory_mib
    assert size.usable_memory_mib < size.memory_gib * 1_024 * 0.95


def test_a_slot_of_the_smallest_size_asks_for_at_most_7000_mib() -> None:
    assert 6_500 < instance_type("inf2.xlarge").slot_memory_mib <= 7_000


def test_an_unknown_size_is_named_together_with_those_there_are() -> None:
    with pytest.raises(UnknownInstanceTypeError) as refusal:
        instance_type("inf2.2xlarge")
    assert str(refusal.value) == (
        "'inf2.2xlarge' is not an Inf2 instance type; known are inf2.xlarge, inf2.8xlarge, "
        "inf2.24xlarge, inf2.48xlarge. Correct the instance type."
    )
