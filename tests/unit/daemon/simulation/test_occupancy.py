from array import array

from daemon.simulation.history import InstanceLife, Spans
from daemon.simulation.occupancy import (
    State,
    backlog_over_time,
    chips_over_time,
    occupancy,
)


def life(
    start: float, end: float, *spans: tuple[int, float, float], chips: int = 1
) -> InstanceLife:
    cores = tuple(Spans() for _ in range(2 * chips))
    for core, since, until in spans:
        cores[core].add(since, until)
    size = {1: "inf2.xlarge", 6: "inf2.24xlarge"}[chips]
    return InstanceLife(size, False, start, start + 10, end, cores)


def test_a_chip_boots_works_and_idles() -> None:
    chart = occupancy([life(0, 50, (0, 20, 40), (1, 20, 30))], columns=5)

    assert chart.column_seconds == 10
    assert chart.rows == [[State.BOOTING, State.IDLE, State.TWO_CORES, State.ONE_CORE, State.IDLE]]


def test_a_column_shows_what_took_most_of_it() -> None:
    jobs = [(0, 10.0 + 2 * number, 11.5 + 2 * number) for number in range(5)]
    [row] = occupancy([life(0, 40, *jobs)], columns=4).rows

    assert row[1] is State.ONE_CORE


def test_a_row_is_taken_again_once_its_chip_is_gone() -> None:
    chart = occupancy([life(0, 20), life(10, 40), life(20, 40)], columns=4)

    assert len(chart.rows) == 2
    assert chart.rows[0] == [State.BOOTING, State.IDLE, State.BOOTING, State.IDLE]
    assert chart.rows[1] == [State.AWAY, State.BOOTING, State.IDLE, State.IDLE]


def test_a_large_instance_has_a_row_for_each_chip() -> None:
    rows = occupancy([life(0, 20, (2, 10, 20), chips=6)], columns=2).rows

    assert [row[1] for row in rows] == [State.IDLE, State.ONE_CORE, *[State.IDLE] * 4]


def test_chips_come_and_go() -> None:
    means = chips_over_time([life(0, 20), life(10, 15, chips=6)], end_seconds=40, columns=4)

    assert means.column_seconds == 10
    assert means.values == [1, 4, 0, 0]


def test_the_backlog_is_what_came_and_has_no_end() -> None:
    arrived, settled = array("d", [0, 5, 10]), array("d", [30, float("nan"), 15])
    means = backlog_over_time(arrived, settled, end_seconds=40, columns=4)

    assert means.values == [1.5, 2.5, 2, 1]
