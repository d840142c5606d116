"""Dead letters, and their way back. Sources: sqs-dead-letter-queues.html,
setting-up-dead-letter-queue-retention.html, sqs-configure-dead-letter-queue-redrive.html,
API_StartMessageMoveTask.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.running import wait_until

Refusal = Callable[..., str]

POLICY_REFUSED = ("InvalidAttributeValue", "InvalidParameterValue")
"""The documented code (API_SetQueueAttributes), and the one that AWS has been seen to give."""


def test_a_message_received_too_often_is_a_dead_letter(lab: Any) -> None:
    url, letters = lab.with_dead_letters(2)
    lab.send(url, "poison")
    first = lab.receive_one(url, VisibilityTimeout=0)
    lab.receive_one(url, VisibilityTimeout=0)
    assert lab.receive(url) == []
    assert lab.counts(url) == (0, 0, 0)
    letter = lab.receive_one(letters)
    assert (letter["Body"], letter["MessageId"]) == ("poison", first["MessageId"])
    assert letter["Attributes"]["SentTimestamp"] == first["Attributes"]["SentTimestamp"]


def test_a_dead_letter_counts_its_receives_in_all_queues(lab: Any) -> None:
    """ApproximateReceiveCount: "received across all queues but not deleted" (ReceiveMessage)."""
    url, letters = lab.with_dead_letters(1)
    lab.bury(url, "poison")
    assert lab.receive_one(letters)["Attributes"]["ApproximateReceiveCount"] == "2"


def test_a_dead_letter_names_the_queue_it_came_from(lab: Any) -> None:
    url, letters = lab.with_dead_letters(1)
    lab.bury(url, "poison")
    attributes = lab.receive_one(letters)["Attributes"]
    assert attributes.get("DeadLetterQueueSourceArn") == lab.arn(url)


def test_the_sources_of_a_dead_letter_queue_are_listed(lab: Any) -> None:
    url, letters = lab.with_dead_letters(1)
    answer = lab.sqs.list_dead_letter_source_queues(QueueUrl=letters)
    assert answer["queueUrls"] == [url]
    assert lab.sqs.list_dead_letter_source_queues(QueueUrl=url)["queueUrls"] == []


def test_a_policy_is_shown_as_it_was_set_and_can_be_taken_back(lab: Any) -> None:
    url, letters = lab.with_dead_letters(3)
    policy = json.loads(lab.attributes(url, "RedrivePolicy")["RedrivePolicy"])
    assert policy["deadLetterTargetArn"] == lab.arn(letters)
    assert int(policy["maxReceiveCount"]) == 3
    lab.sqs.set_queue_attributes(QueueUrl=url, Attributes={"RedrivePolicy": ""})
    assert "RedrivePolicy" not in lab.attributes(url)


def test_a_dead_letter_queue_must_exist(lab: Any, refusal: Refusal) -> None:
    arn = lab.arn(lab.queue()) + "-not-there"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    assert refusal(lab.queue, RedrivePolicy=policy) in POLICY_REFUSED


def test_a_dead_letter_queue_can_refuse_sources(lab: Any, refusal: Refusal) -> None:
    letters = lab.queue(RedriveAllowPolicy=json.dumps({"redrivePermission": "denyAll"}))
    policy = json.dumps({"deadLetterTargetArn": lab.arn(letters), "maxReceiveCount": 1})
    assert refusal(lab.queue, RedrivePolicy=policy) in POLICY_REFUSED


def newest_task(lab: Any, letters: str) -> dict[str, Any]:
    [task] = lab.sqs.list_message_move_tasks(SourceArn=lab.arn(letters))["Results"]
    return dict(task)


def test_dead_letters_move_back_as_new_messages(lab: Any) -> None:
    url, letters = lab.with_dead_letters(1)
    lab.bury(url, "one", "two")
    old = {message["MessageId"] for message in lab.receive(letters, VisibilityTimeout=0)}
    assert len(old) == 2
    lab.sqs.start_message_move_task(SourceArn=lab.arn(letters))

    def completed() -> dict[str, Any] | None:
        task = newest_task(lab, letters)
        return task if task["Status"] == "COMPLETED" else None

    task = wait_until("the task is done", completed, patience=5)
    assert task["ApproximateNumberOfMessagesMoved"] == 2
    assert task["ApproximateNumberOfMessagesToMove"] == 2
    assert "TaskHandle" not in task
    moved = lab.receive(url)
    assert sorted(message["Body"] for message in moved) == ["one", "two"]
    assert not {message["MessageId"] for message in moved} & old
    assert {m["Attributes"]["ApproximateReceiveCount"] for m in moved} == {"1"}
    assert lab.counts(letters) == (0, 0, 0)


def test_a_move_is_slow_when_asked_and_can_be_cancelled(lab: Any, refusal: Refusal) -> None:
    url, letters = lab.with_dead_letters(1)
    lab.bury(url, "one", "two", "three")
    source = {"SourceArn": lab.arn(letters)}
    handle = lab.sqs.start_message_move_task(
        **source, DestinationArn=lab.arn(url), MaxNumberOfMessagesPerSecond=1
    )["TaskHandle"]
    task = newest_task(lab, letters)
    assert (task["Status"], task["TaskHandle"]) == ("RUNNING", handle)
    assert task["MaxNumberOfMessagesPerSecond"] == 1
    assert task["DestinationArn"] == lab.arn(url)
    code = refusal(lab.sqs.start_message_move_task, **source)
    assert code == "AWS.SimpleQueueService.UnsupportedOperation"
    moved = lab.sqs.cancel_message_move_task(TaskHandle=handle)
    assert moved["ApproximateNumberOfMessagesMoved"] < 3
    assert newest_task(lab, letters)["Status"] in ("CANCELLING", "CANCELLED")
    assert sum(lab.counts(letters)) > 0


@pytest.mark.parametrize(
    ("suffix", "code"),
    [("", "InvalidParameterValue"), ("-gone", "ResourceNotFoundException")],
    ids=["another queue", "no queue"],
)
def test_only_a_dead_letter_queue_can_be_moved_from(
    lab: Any, refusal: Refusal, suffix: str, code: str
) -> None:
    arn = lab.arn(lab.queue()) + suffix
    assert refusal(lab.sqs.start_message_move_task, SourceArn=arn) == code
