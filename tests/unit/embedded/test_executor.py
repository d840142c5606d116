import pytest

from daemon.embedded.batch.executor import cpus_of_core


@pytest.mark.parametrize(
    ("cpus", "cores", "shares"),
    [
        ((0, 1), 2, [(0,), (1,)]),
        ((4, 5, 6, 7), 2, [(4, 5), (6, 7)]),
        ((0, 1, 2), 2, [(0,), (1, 2)]),
        ((3,), 2, [(3,), (3,)]),
        ((0, 1), 4, [(0,), (1,), (0,), (1,)]),
    ],
)
def test_the_cores_of_an_instance_share_the_cpus(
    cpus: tuple[int, ...], cores: int, shares: list[tuple[int, ...]]
) -> None:
    assert [cpus_of_core(core, cores, cpus) for core in range(cores)] == shares
