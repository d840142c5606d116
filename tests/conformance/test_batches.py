"""Batch calls. Sources: API_SendMessageBatch, API_DeleteMessageBatch,
API_ChangeMessageVisibilityBatch: each entry succeeds or fails by itself.
"""

from collections.abc import Callable
from typing import Any

import pytest

Refusal = Callable[..., str]
PREFIX = "AWS.SimpleQueueService."


def entries(*bodies: str) -> list[dict[str, Any]]:
    return [{"Id": str(number), "MessageBody": body} for number, body in enumerate(bodies)]


def ids(answers: list[dict[str, Any]]) -> list[str]:
    return [answer["Id"] for answer in answers]


def test_a_batch_of_messages_is_sent(lab: Any) -> None:
    url = lab.queue()
    answer = lab.sqs.send_message_batch(QueueUrl=url, Entries=entries(*"abcdefghij"))
    sent = {one["MessageId"]: one["MD5OfMessageBody"] for one in answer["Successful"]}
    received = {one["MessageId"]: one["MD5OfBody"] for one in lab.receive(url)}
    assert sent == received
    assert len(sent) == 10
    assert answer.get("Failed", []) == []


def test_a_message_that_cannot_be_sent_fails_alone(lab: Any) -> None:
    url = lab.queue()
    answer = lab.sqs.send_message_batch(QueueUrl=url, Entries=entries("good", "\x00", "fine"))
    assert ids(answer["Successful"]) == ["0", "2"]
    [failed] = answer["Failed"]
    assert (failed["Id"], failed["Code"]) == ("1", "InvalidMessageContents")
    assert failed["SenderFault"] is True
    assert lab.counts(url) == (2, 0, 0)


def test_a_message_that_cannot_be_hidden_fails_alone(lab: Any) -> None:
    url = lab.queue()
    lab.send(url)
    handle = lab.receive_one(url)["ReceiptHandle"]
    answer = lab.sqs.change_message_visibility_batch(
        QueueUrl=url,
        Entries=[
            {"Id": "good", "ReceiptHandle": handle, "VisibilityTimeout": 10},
            {"Id": "long", "ReceiptHandle": handle, "VisibilityTimeout": 43_201},
        ],
    )
    assert ids(answer["Successful"]) == ["good"]
    [failed] = answer["Failed"]
    assert (failed["Id"], failed["Code"]) == ("long", "InvalidParameterValue")


def test_what_is_no_receipt_handle_fails_alone(lab: Any) -> None:
    url = lab.queue()
    lab.send(url)
    good = {"Id": "good", "ReceiptHandle": lab.receive_one(url)["ReceiptHandle"]}
    bad = {"Id": "bad", "ReceiptHandle": "garbage"}
    hidden = lab.sqs.change_message_visibility_batch(
        QueueUrl=url, Entries=[{**one, "VisibilityTimeout": 60} for one in (bad, good)]
    )
    deleted = lab.sqs.delete_message_batch(QueueUrl=url, Entries=[bad, good])
    for answer in (hidden, deleted):
        assert ids(answer["Successful"]) == ["good"]
        [failed] = answer["Failed"]
        assert (failed["Id"], failed["Code"]) == ("bad", "ReceiptHandleIsInvalid")
    assert lab.counts(url) == (0, 0, 0)


@pytest.mark.parametrize(
    ("batch", "code"),
    [
        ([], "EmptyBatchRequest"),
        (entries(*"abcdefghijk"), "TooManyEntriesInBatchRequest"),
        (entries("a") + entries("b"), "BatchEntryIdsNotDistinct"),
        ([{"Id": "with space", "MessageBody": "a"}], "InvalidBatchEntryId"),
        ([{"Id": "i" * 81, "MessageBody": "a"}], "InvalidBatchEntryId"),
        (entries("x" * 600_000, "x" * 600_000), "BatchRequestTooLong"),
    ],
    ids=["empty", "eleven", "same id", "bad id", "long id", "too long"],
)
def test_a_batch_that_is_none_is_refused_as_a_whole(
    lab: Any, refusal: Refusal, batch: list[dict[str, Any]], code: str
) -> None:
    url = lab.queue()
    assert refusal(lab.sqs.send_message_batch, QueueUrl=url, Entries=batch) == PREFIX + code
    assert lab.counts(url) == (0, 0, 0)
