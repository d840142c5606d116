import json
import random

import pytest

from daemon.simulation.arriving import ArrivingQueue
from tests import fleets

BEGAN = 1_000_000.0


@pytest.fixture
def queue() -> ArrivingQueue:
    work = fleets.workload([float(n) for n in range(30)], [5.0] * 30)
    return ArrivingQueue("arn:aws:sqs:us-east-1:0:requests", random.Random(1), work, BEGAN)


def names(queue: ArrivingQueue, at: float, most: int = 10) -> list[str]:
    return [json.loads(one.body)["request_id"] for one in queue.receive(most, BEGAN + at, 60)]


def test_what_has_arrived_can_be_received_in_order(queue: ArrivingQueue) -> None:
    assert names(queue, 2.5) == ["r00000000", "r00000001", "r00000002"]
    assert names(queue, 2.5) == []
    assert names(queue, 29, most=2) == ["r00000003", "r00000004"]


def test_a_message_was_sent_when_it_arrived(queue: ArrivingQueue) -> None:
    delivered = queue.receive(10, BEGAN + 4, 60)

    assert [one.sent_at - BEGAN for one in delivered] == [0, 1, 2, 3, 4]


def test_the_backlog_counts_as_visible_though_it_is_nowhere(queue: ArrivingQueue) -> None:
    queue.receive(4, BEGAN + 20, 60)

    counts = queue.counts(BEGAN + 20)
    assert (counts.visible, counts.in_flight) == (17, 4)
    assert len(queue.requests) == 4


def test_who_waits_is_told_of_the_next_arrival(queue: ArrivingQueue) -> None:
    names(queue, 4.5)

    assert queue.next_visible_at(BEGAN + 4.5) == BEGAN + 5
    assert queue.next_visible_at(BEGAN + 7) == BEGAN + 7


def test_what_came_back_is_received_before_what_has_arrived(queue: ArrivingQueue) -> None:
    names(queue, 0)

    assert names(queue, 100, most=2) == ["r00000000", "r00000001"]


def test_nothing_is_sent_twice_and_the_end_is_the_end(queue: ArrivingQueue) -> None:
    seen = [name for _ in range(10) for name in names(queue, 40)]

    assert len(seen) == len(set(seen)) == 30
    assert queue.next_visible_at(BEGAN + 41) == BEGAN + 100
