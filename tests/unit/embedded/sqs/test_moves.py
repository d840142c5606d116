import json
from typing import Any

import pytest

from daemon.embedded.sqs.errors import (
    InvalidParameterError,
    ResourceNotFoundError,
    UnsupportedOperationError,
)
from daemon.embedded.sqs.messages import MessageAttribute
from daemon.embedded.sqs.model import SqsModel
from daemon.embedded.sqs.moves import QUEUE_GONE, SOURCE_UNKNOWN, MoveStatus
from daemon.embedded.sqs.queue import Queue

NOW = 1_000.0
KIND = {"kind": MessageAttribute("String", "poison")}


@pytest.fixture
def letters(model: SqsModel) -> Queue:
    return model.create("letters", {}, {}, NOW)


@pytest.fixture
def queue(model: SqsModel, letters: Queue) -> Queue:
    policy = json.dumps({"deadLetterTargetArn": letters.arn, "maxReceiveCount": 1})
    return model.create("queue", {"RedrivePolicy": policy}, {}, NOW)


def bury(queue: Queue, number: int) -> list[str]:
    """Make dead letters of new messages; their ids."""
    ids = [queue.send(f"body {index}", KIND, NOW).message_id for index in range(number)]
    for _ in range(2):
        while queue.receive(10, NOW, 0):
            pass
    return ids


def take(queue: Queue, now_seconds: float) -> list[Any]:
    taken: list[Any] = []
    while deliveries := queue.receive(10, now_seconds):
        taken += deliveries
    return taken


def test_dead_letters_go_back_where_they_came_from_as_new_messages(
    model: SqsModel, queue: Queue, letters: Queue
) -> None:
    old = bury(queue, 3)
    task = model.start_move(letters.arn, None, None, NOW)
    assert (task.status, task.to_move) == (MoveStatus.RUNNING, 3)
    model.advance(NOW + 1)
    assert (task.status, task.moved) == (MoveStatus.COMPLETED, 3)
    assert model.next_deadline() is None
    moved = take(queue, NOW + 1)
    assert [delivery.body for delivery in moved] == ["body 0", "body 1", "body 2"]
    assert not {delivery.message_id for delivery in moved} & set(old)
    for delivery in moved:
        assert delivery.attributes == KIND
        assert delivery.receive_count == 1
        assert delivery.sent_at == delivery.first_received_at == NOW + 1
        assert delivery.dead_letter_source is None
    assert letters.counts(NOW + 1).visible == 0


def test_dead_letters_move_at_the_rate_asked_for(
    model: SqsModel, queue: Queue, letters: Queue
) -> None:
    bury(queue, 5)
    other = model.create("other", {}, {}, NOW)
    task = model.start_move(letters.arn, other.arn, 2, NOW)
    moved = []
    for quarter in range(9):
        model.advance(NOW + quarter / 4)
        moved.append(task.moved)
    assert moved == [1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert model.next_deadline() == NOW + 2.5
    model.advance(NOW + 2.5)
    assert task.status is MoveStatus.COMPLETED
    assert other.counts(NOW + 2.5).visible == 5
    assert queue.counts(NOW + 2.5).visible == 0


def test_a_letter_in_flight_is_not_moved(model: SqsModel, queue: Queue, letters: Queue) -> None:
    bury(queue, 2)
    letters.receive(1, NOW)
    task = model.start_move(letters.arn, None, None, NOW)
    model.advance(NOW + 1)
    assert (task.to_move, task.moved, task.status) == (1, 1, MoveStatus.COMPLETED)


def test_a_task_that_is_cancelled_moves_no_more(
    model: SqsModel, queue: Queue, letters: Queue
) -> None:
    bury(queue, 5)
    task = model.start_move(letters.arn, None, 1, NOW)
    model.advance(NOW + 1)
    assert model.cancel_move(task.handle) is task
    model.advance(NOW + 100)
    assert (task.moved, task.status) == (2, MoveStatus.CANCELLED)
    assert letters.counts(NOW).visible == 3
    with pytest.raises(UnsupportedOperationError, match="CANCELLED"):
        model.cancel_move(task.handle)


def test_a_queue_has_one_running_task_and_remembers_ten(
    model: SqsModel, queue: Queue, letters: Queue
) -> None:
    bury(queue, 1)
    model.start_move(letters.arn, None, 1, NOW)
    with pytest.raises(UnsupportedOperationError, match="already a task running"):
        model.start_move(letters.arn, None, 1, NOW)
    for second in range(1, 13):
        model.advance(NOW + second * 2)
        newest = model.start_move(letters.arn, None, None, NOW + second * 2)
    tasks = model.move_tasks(letters.arn)
    assert len(tasks) == 10
    assert tasks[0] is newest


def test_a_letter_that_no_queue_gave_up_needs_a_destination(
    model: SqsModel, queue: Queue, letters: Queue
) -> None:
    letters.send("sent here", {}, NOW)
    task = model.start_move(letters.arn, None, None, NOW)
    model.advance(NOW + 1)
    assert (task.status, task.failure) == (MoveStatus.FAILED, SOURCE_UNKNOWN)
    task = model.start_move(letters.arn, queue.arn, None, NOW + 1)
    model.advance(NOW + 2)
    assert task.status is MoveStatus.COMPLETED


def test_a_task_fails_where_a_queue_is_gone(model: SqsModel, queue: Queue, letters: Queue) -> None:
    other = model.create("other", {}, {}, NOW)
    bury(queue, 2)
    task = model.start_move(letters.arn, other.arn, 1, NOW)
    model.advance(NOW)
    model.delete("other", NOW)
    model.advance(NOW + 1)
    assert (task.moved, task.status, task.failure) == (1, MoveStatus.FAILED, QUEUE_GONE)


def test_only_dead_letters_of_a_queue_that_exists_are_moved(model: SqsModel, queue: Queue) -> None:
    with pytest.raises(ResourceNotFoundError, match="SourceArn"):
        model.start_move(model.account.arn("unknown"), None, None, NOW)
    with pytest.raises(InvalidParameterError, match="Dead Letter Queue"):
        model.start_move(queue.arn, None, None, NOW)
    with pytest.raises(ResourceNotFoundError, match="DestinationArn"):
        model.start_move(model.account.arn("letters"), model.account.arn("unknown"), None, NOW)
    with pytest.raises(ResourceNotFoundError, match="TaskHandle"):
        model.cancel_move("unknown")
