from collections.abc import Callable
from typing import Any

import pytest

from daemon.embedded.sqs.errors import (
    InvalidParameterError,
    MessageNotInflightError,
    OverLimitError,
    PurgeQueueInProgressError,
    ReceiptHandleIsInvalidError,
)
from daemon.embedded.sqs.settings import QueueSettings

HOURS_12 = 43_200


def test_messages_are_delivered_in_their_order_and_then_hidden(queue: Any) -> None:
    for body in "abc":
        queue.send(body)
    assert queue.bodies(2) == ["a", "b"]
    assert queue.counts() == (1, 2, 0)
    assert queue.bodies() == ["c"]
    assert queue.bodies() == []


def test_a_message_not_deleted_is_visible_again_after_its_timeout(queue: Any) -> None:
    queue.send()
    first = queue.receive_one()
    assert queue.next_visible_at() == 1_030.0
    queue.now += 29.9
    assert queue.receive() == []
    queue.now += 0.1
    second = queue.receive_one()
    assert second.message_id == first.message_id
    assert second.receipt_handle != first.receipt_handle
    assert (first.receive_count, second.receive_count) == (1, 2)
    assert second.first_received_at == first.first_received_at == second.sent_at == 1_000.0


def test_the_timeout_of_the_receive_beats_that_of_the_queue(make_queue: Callable[..., Any]) -> None:
    queue = make_queue(QueueSettings(visibility_seconds=100))
    queue.send()
    queue.receive_one(visibility=5)
    assert queue.next_visible_at() == 1_005.0
    queue.now += 5
    queue.receive_one()
    assert queue.next_visible_at() == 1_105.0


def test_a_message_received_for_no_time_can_be_received_again_at_once(queue: Any) -> None:
    queue.send()
    assert queue.receive_one(visibility=0).receive_count == 1
    assert queue.receive_one(visibility=0).receive_count == 2


def test_a_deleted_message_never_returns(queue: Any) -> None:
    queue.send()
    delivery = queue.receive_one()
    queue.delete(delivery)
    assert queue.counts() == (0, 0, 0)
    queue.now += 100
    assert queue.receive() == []
    assert queue.next_visible_at() is None


def test_deleting_twice_succeeds(queue: Any) -> None:
    queue.send()
    delivery = queue.receive_one()
    queue.delete(delivery)
    queue.delete(delivery)


def test_a_message_can_be_deleted_after_its_timeout_by_its_last_handle(queue: Any) -> None:
    queue.send()
    delivery = queue.receive_one()
    queue.now += 100
    queue.delete(delivery)
    assert queue.counts() == (0, 0, 0)


def test_an_old_handle_deletes_nothing_and_succeeds(queue: Any) -> None:
    queue.send()
    old = queue.receive_one(visibility=1)
    queue.now += 1
    new = queue.receive_one()
    queue.delete(old)
    assert queue.counts() == (0, 1, 0)
    queue.delete(new)
    assert queue.counts() == (0, 0, 0)


@pytest.mark.parametrize("handle", ["", "garbage", "Z2FyYmFnZQ==", "ü"])
def test_what_is_no_handle_is_refused(queue: Any, handle: str) -> None:
    with pytest.raises(ReceiptHandleIsInvalidError):
        queue.queue.delete(handle, queue.now)
    with pytest.raises(ReceiptHandleIsInvalidError):
        queue.queue.change_visibility(handle, 1, queue.now)


def test_another_queues_handle_is_refused(make_queue: Callable[..., Any]) -> None:
    one, other = make_queue(seed=1), make_queue(seed=2)
    one.send()
    with pytest.raises(ReceiptHandleIsInvalidError):
        other.delete(one.receive_one())


def test_an_extension_counts_from_the_time_it_is_asked_for(queue: Any) -> None:
    queue.send()
    delivery = queue.receive_one()
    queue.now += 20
    queue.change(delivery, 60)
    assert queue.next_visible_at() == 1_080.0
    queue.change(delivery, 5)
    assert queue.next_visible_at() == 1_025.0


def test_an_extension_holds_for_one_receive_only(queue: Any) -> None:
    queue.send()
    queue.change(queue.receive_one(), 600)
    queue.now += 600
    queue.receive_one()
    assert queue.next_visible_at() == queue.now + 30


def test_a_visibility_of_zero_shows_the_message_at_once(queue: Any) -> None:
    queue.send()
    queue.change(queue.receive_one(), 0)
    assert queue.counts() == (1, 0, 0)
    assert queue.receive_one().receive_count == 2


def test_the_visibility_of_a_message_that_is_not_in_flight_cannot_be_changed(queue: Any) -> None:
    queue.send()
    delivery = queue.receive_one()
    queue.now += 30
    with pytest.raises(MessageNotInflightError):
        queue.change(delivery, 10)
    assert queue.counts() == (1, 0, 0)


def test_the_visibility_cannot_be_changed_by_an_old_handle(queue: Any) -> None:
    queue.send()
    old = queue.receive_one(visibility=0)
    queue.receive_one()
    with pytest.raises(MessageNotInflightError):
        queue.change(old, 10)


def test_the_visibility_of_a_deleted_message_cannot_be_changed(queue: Any) -> None:
    queue.send()
    delivery = queue.receive_one()
    queue.delete(delivery)
    with pytest.raises(InvalidParameterError, match="does not exist or is not available"):
        queue.change(delivery, 10)


def test_a_message_is_hidden_for_twelve_hours_after_a_receive_at_most(queue: Any) -> None:
    queue.send()
    delivery = queue.receive_one(visibility=HOURS_12)
    queue.now += 3_600
    with pytest.raises(InvalidParameterError, match="beyond the limit"):
        queue.change(delivery, HOURS_12 - 3_599)
    queue.change(delivery, HOURS_12 - 3_600)
    queue.now += HOURS_12 - 3_600
    again = queue.receive_one(visibility=HOURS_12)
    queue.change(again, HOURS_12)


@pytest.mark.parametrize("seconds", [-1, HOURS_12 + 1])
def test_a_visibility_out_of_range_is_refused(queue: Any, seconds: int) -> None:
    queue.send()
    delivery = queue.receive_one()
    with pytest.raises(InvalidParameterError, match="VisibilityTimeout"):
        queue.change(delivery, seconds)
    with pytest.raises(InvalidParameterError, match="VisibilityTimeout"):
        queue.receive(1, seconds)


@pytest.mark.parametrize("most", [0, 11])
def test_a_receive_takes_one_to_ten_messages(queue: Any, most: int) -> None:
    with pytest.raises(InvalidParameterError, match="MaxNumberOfMessages"):
        queue.receive(most)


def test_a_delayed_message_is_not_visible_before_its_time(make_queue: Callable[..., Any]) -> None:
    queue = make_queue(QueueSettings(delay_seconds=10))
    queue.send("late", 20)
    queue.send("usual")
    queue.send("at once", 0)
    assert queue.counts() == (1, 0, 2)
    assert queue.bodies() == ["at once"]
    assert queue.next_visible_at() == 1_010.0
    queue.now += 10
    assert queue.bodies() == ["usual"]
    queue.now += 10
    assert queue.bodies() == ["late"]


@pytest.mark.parametrize("delay", [-1, 901])
def test_a_delay_out_of_range_is_refused(queue: Any, delay: int) -> None:
    with pytest.raises(InvalidParameterError, match="DelaySeconds"):
        queue.send("body", delay)


def test_a_message_vanishes_at_the_end_of_its_retention_even_in_flight(
    make_queue: Callable[..., Any],
) -> None:
    queue = make_queue(QueueSettings(retention_seconds=60))
    queue.send("visible")
    queue.send("in flight")
    queue.send("delayed", 900)
    queue.change(queue.receive_one(), 500)
    queue.now += 59.9
    assert queue.counts() == (1, 1, 1)
    queue.now += 0.1
    assert queue.counts() == (0, 0, 0)
    assert queue.next_visible_at() is None


def test_a_shorter_retention_holds_for_the_messages_there_are(queue: Any) -> None:
    queue.send()
    queue.now += 100
    queue.queue.settings = QueueSettings(retention_seconds=60)
    assert queue.counts() == (0, 0, 0)


def test_no_more_messages_than_allowed_are_in_flight(make_queue: Callable[..., Any]) -> None:
    queue = make_queue(in_flight_max=3)
    for body in "abcde":
        queue.send(body)
    first = queue.receive_one()
    assert len(queue.receive()) == 2
    with pytest.raises(OverLimitError, match="3 have been received"):
        queue.receive()
    assert queue.next_visible_at() == 1_030.0, "no message can be received before"
    queue.delete(first)
    assert queue.bodies() == ["d"]


def test_a_purge_empties_the_queue_once_a_minute(queue: Any) -> None:
    queue.send("visible")
    queue.send("in flight")
    queue.receive_one()
    queue.send("delayed", 5)
    queue.queue.purge(queue.now)
    assert queue.counts() == (0, 0, 0)
    queue.now += 59
    queue.send()
    with pytest.raises(PurgeQueueInProgressError):
        queue.queue.purge(queue.now)
    assert queue.counts() == (1, 0, 0)
    queue.now += 1
    queue.queue.purge(queue.now)
    assert queue.counts() == (0, 0, 0)


def test_a_clock_that_jumps_back_neither_hides_nor_loses_messages(queue: Any) -> None:
    queue.send("visible")
    queue.send("hidden")
    queue.receive_one(visibility=10)
    queue.now += 10
    assert queue.counts() == (2, 0, 0)
    queue.now -= 8
    assert queue.counts() == (2, 0, 0)
    delivery = queue.receive_one(visibility=10)
    queue.now -= 5
    queue.change(delivery, HOURS_12)
    queue.change(delivery, 10)
    queue.now += 10
    assert queue.counts() == (2, 0, 0)


def test_a_clock_that_jumps_forward_ends_what_has_run_out(queue: Any) -> None:
    queue.send("delayed", 900)
    queue.send()
    queue.receive_one(visibility=HOURS_12)
    queue.now += HOURS_12
    assert queue.bodies() == ["delayed", "body"]


def test_the_same_seed_gives_the_same_ids(make_queue: Callable[..., Any]) -> None:
    one, other = make_queue(), make_queue()
    assert one.send() == other.send()
    assert one.receive_one() == other.receive_one()
