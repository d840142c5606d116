"""The visibility timeout, and receipt handles.

Sources: API_ChangeMessageVisibility, API_DeleteMessage, sqs-visibility-timeout.html.
"""

from collections.abc import Callable
from typing import Any

import pytest

Refusal = Callable[..., str]


def test_a_message_is_hidden_for_its_timeout_and_then_comes_back(lab: Any) -> None:
    url = lab.queue(VisibilityTimeout="1")
    lab.send(url)
    first = lab.receive_one(url)
    assert lab.receive(url) == []
    assert lab.counts(url) == (0, 1, 0)
    second = lab.receive_one(url, WaitTimeSeconds=5)
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"


def test_a_message_is_hidden_for_longer_when_asked(lab: Any) -> None:
    url = lab.queue()
    lab.send(url)
    message = lab.receive_one(url, VisibilityTimeout=1)
    lab.change(url, message, 60)
    assert lab.receive(url, WaitTimeSeconds=2) == []


def test_a_visibility_of_zero_gives_the_message_back(lab: Any) -> None:
    url = lab.queue()
    lab.send(url)
    lab.change(url, lab.receive_one(url), 0)
    assert lab.receive_one(url)["Attributes"]["ApproximateReceiveCount"] == "2"


def test_a_visibility_above_twelve_hours_is_refused(lab: Any, refusal: Refusal) -> None:
    url = lab.queue()
    lab.send(url)
    message = lab.receive_one(url)
    code = refusal(lab.change, url=url, message=message, seconds=43_201)
    assert code == "InvalidParameterValue"


def test_a_receive_for_above_twelve_hours_is_refused(lab: Any, refusal: Refusal) -> None:
    code = refusal(lab.receive, url=lab.queue(), VisibilityTimeout=43_201)
    assert code == "InvalidParameterValue"


def test_a_message_is_hidden_for_twelve_hours_in_total_at_most(lab: Any, refusal: Refusal) -> None:
    url = lab.queue()
    lab.send(url)
    message = lab.receive_one(url)
    lab.receive(url, WaitTimeSeconds=1)
    lab.change(url, message, 43_100)
    code = refusal(lab.change, url=url, message=message, seconds=43_200)
    assert code == "InvalidParameterValue"


def test_a_message_that_is_not_in_flight_cannot_be_hidden(lab: Any, refusal: Refusal) -> None:
    url = lab.queue()
    lab.send(url)
    message = lab.receive_one(url, VisibilityTimeout=0)
    code = refusal(lab.change, url=url, message=message, seconds=60)
    assert code == "AWS.SimpleQueueService.MessageNotInflight"
    assert lab.counts(url) == (1, 0, 0)


def test_a_deleted_message_cannot_be_hidden(lab: Any, refusal: Refusal) -> None:
    """As seen of AWS (github.com/aws/aws-sdk-net/issues/1927)."""
    url = lab.queue()
    lab.send(url)
    message = lab.receive_one(url)
    lab.delete(url, message)
    code = refusal(lab.change, url=url, message=message, seconds=60)
    assert code == "InvalidParameterValue"


@pytest.mark.parametrize("handle", ["garbage", "Z2FyYmFnZQ=="])
def test_what_is_no_receipt_handle_is_refused(lab: Any, refusal: Refusal, handle: str) -> None:
    url = lab.queue()
    message = {"ReceiptHandle": handle}
    assert refusal(lab.delete, url=url, message=message) == "ReceiptHandleIsInvalid"
    code = refusal(lab.change, url=url, message=message, seconds=1)
    assert code == "ReceiptHandleIsInvalid"


def test_deleting_twice_succeeds(lab: Any) -> None:
    url = lab.queue()
    lab.send(url)
    message = lab.receive_one(url)
    lab.delete(url, message)
    lab.delete(url, message)
    assert lab.counts(url) == (0, 0, 0)


def test_a_message_is_deleted_by_its_last_handle_after_its_timeout(lab: Any) -> None:
    url = lab.queue()
    lab.send(url)
    lab.delete(url, lab.receive_one(url, VisibilityTimeout=0))
    assert lab.receive(url) == []


def test_deleting_with_an_old_handle_succeeds(lab: Any) -> None:
    """ "If you use an old ReceiptHandle, the request will succeed" (API_DeleteMessage)."""
    url = lab.queue()
    lab.send(url)
    old = lab.receive_one(url, VisibilityTimeout=0)
    lab.receive_one(url)
    lab.delete(url, old)


def test_an_old_handle_does_not_delete(lab: Any) -> None:
    """AWS leaves it open ("might not be deleted"); we take the worse of both."""
    url = lab.queue()
    lab.send(url)
    old = lab.receive_one(url, VisibilityTimeout=0)
    new = lab.receive_one(url)
    lab.delete(url, old)
    assert lab.counts(url) == (0, 1, 0)
    lab.delete(url, new)
    assert lab.counts(url) == (0, 0, 0)
