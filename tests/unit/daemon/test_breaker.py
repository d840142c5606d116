"""Breakers: when a lane is shut, for how long, and what opens it."""

from datetime import UTC, datetime, timedelta

import pytest

from daemon.breaker import FAILURES_TO_SHUT, SHUT_FIRST, SHUT_MAX, Breakers, Gate
from daemon.metrics import Metrics

LANE = "lane"


class Lane:
    """One lane's breaker, on a clock that the test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 27, tzinfo=UTC)
        self.metrics = Metrics()
        self.breakers = Breakers(self.metrics, lambda: self.now)

    @property
    def gate(self) -> Gate:
        return self.breakers.gate(LANE)

    @property
    def is_told_shut(self) -> float:
        return self.metrics.total("lane_shut")

    def fail(self, times: int = 1, order_id: str = "o") -> None:
        for _ in range(times):
            self.breakers.failed(LANE, order_id, "CannotPullContainerError")

    def begin(self) -> None:
        self.breakers.began(LANE)

    def shut(self) -> None:
        self.fail(FAILURES_TO_SHUT)
        assert self.gate is Gate.SHUT

    def wait(self, delay: timedelta) -> None:
        self.now += delay

    def probe(self, order_id: str) -> None:
        """Wait until a probe may go out, and send it."""
        for _ in range(int(SHUT_MAX / timedelta(seconds=1))):
            if self.gate is Gate.PROBE:
                break
            self.wait(timedelta(seconds=1))
        self.breakers.ordered(LANE, order_id)

    def shut_seconds(self) -> float:
        """How long the lane stays shut from now on."""
        start = self.now
        while self.gate is Gate.SHUT:
            self.wait(timedelta(seconds=1))
        return (self.now - start).total_seconds()


def test_a_lane_is_shut_after_so_many_failures_in_a_row() -> None:
    lane = Lane()
    lane.fail(FAILURES_TO_SHUT - 1)
    assert (lane.gate, lane.is_told_shut) == (Gate.OPEN, 0)
    lane.fail()
    assert (lane.gate, lane.is_told_shut) == (Gate.SHUT, 1)


def test_a_shard_that_begins_in_between_starts_the_count_afresh() -> None:
    lane = Lane()
    lane.fail(FAILURES_TO_SHUT - 1)
    lane.begin()
    lane.fail(FAILURES_TO_SHUT - 1)
    assert lane.gate is Gate.OPEN


def test_lanes_do_not_know_of_each_other() -> None:
    lane = Lane()
    lane.shut()
    assert lane.breakers.gate("another") is Gate.OPEN


def test_after_a_while_one_probe_goes_out_and_no_second_beside_it() -> None:
    lane = Lane()
    lane.shut()
    assert lane.shut_seconds() == SHUT_FIRST.total_seconds()
    assert lane.gate is Gate.PROBE
    lane.breakers.ordered(LANE, "probe")
    assert lane.gate is Gate.SHUT
    lane.wait(10 * SHUT_MAX)
    assert lane.gate is Gate.SHUT


def test_each_probe_that_fails_doubles_the_wait_up_to_the_longest() -> None:
    lane = Lane()
    lane.shut()
    waits = []
    for number in range(6):
        waits.append(lane.shut_seconds())
        lane.probe(f"probe-{number}")
        lane.fail(order_id=f"probe-{number}")
    first, longest = SHUT_FIRST.total_seconds(), SHUT_MAX.total_seconds()
    assert waits == [first, 2 * first, 4 * first, 8 * first, longest, longest]


def test_the_failures_of_one_probe_count_once() -> None:
    lane = Lane()
    lane.shut()
    lane.probe("probe")
    lane.fail(2, order_id="probe")
    assert lane.shut_seconds() == 2 * SHUT_FIRST.total_seconds()


def test_what_older_orders_still_do_wrong_neither_prolongs_nor_ends_the_wait() -> None:
    lane = Lane()
    lane.shut()
    lane.wait(SHUT_FIRST / 2)
    lane.fail(10)
    assert lane.shut_seconds() == SHUT_FIRST.total_seconds() / 2
    lane.probe("probe")
    lane.fail(10)
    assert lane.gate is Gate.SHUT, "a second probe beside the first"


@pytest.mark.parametrize("probing", [False, True])
def test_the_first_shard_that_begins_opens_the_lane_and_all_is_forgotten(probing: bool) -> None:
    lane = Lane()
    lane.shut()
    if probing:
        lane.probe("probe")
    lane.begin()
    assert (lane.gate, lane.is_told_shut) == (Gate.OPEN, 0)
    lane.fail(FAILURES_TO_SHUT)
    assert lane.shut_seconds() == SHUT_FIRST.total_seconds()


def test_a_probe_that_tells_nothing_leaves_room_for_the_next() -> None:
    lane = Lane()
    lane.shut()
    lane.probe("probe")
    lane.breakers.closed(LANE, "another order")
    assert lane.gate is Gate.SHUT
    lane.breakers.closed(LANE, "probe")
    assert lane.gate is Gate.PROBE


def test_an_order_from_an_open_lane_is_no_probe() -> None:
    lane = Lane()
    lane.breakers.ordered(LANE, "early")
    lane.shut()
    assert lane.shut_seconds() == SHUT_FIRST.total_seconds()
    lane.fail(order_id="early")
    assert lane.gate is Gate.PROBE
