import pytest

from daemon.embedded.sqs.errors import (
    InvalidAttributeNameError,
    InvalidAttributeValueError,
    InvalidParameterError,
    NotEmulatedError,
    QueueDeletedRecentlyError,
    QueueNameExistsError,
)
from daemon.embedded.sqs.model import SqsModel

NOW = 1_000.0


def test_a_queue_is_created_once_for_the_same_attributes(model: SqsModel) -> None:
    queue = model.create("queue", {"VisibilityTimeout": "5"}, {}, NOW)
    assert model.create("queue", {"VisibilityTimeout": "5", "DelaySeconds": "0"}, {}, NOW) is queue
    with pytest.raises(QueueNameExistsError, match="different value for VisibilityTimeout"):
        model.create("queue", {"VisibilityTimeout": "6"}, {}, NOW)


def test_attributes_can_be_changed_one_by_one(model: SqsModel) -> None:
    queue = model.create("queue", {"VisibilityTimeout": "5"}, {}, NOW)
    model.change(model.queues["queue"], {"DelaySeconds": "7"}, NOW + 1)
    assert (queue.settings.visibility_seconds, queue.settings.delay_seconds) == (5, 7)
    assert model.queues["queue"].modified_at == NOW + 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VisibilityTimeout", "43201"),
        ("VisibilityTimeout", "-1"),
        ("VisibilityTimeout", "soon"),
        ("DelaySeconds", "901"),
        ("MessageRetentionPeriod", "59"),
        ("MessageRetentionPeriod", "1209601"),
        ("MaximumMessageSize", "1023"),
        ("MaximumMessageSize", "1048577"),
        ("ReceiveMessageWaitTimeSeconds", "21"),
        ("Policy", "{"),
        ("SqsManagedSseEnabled", "maybe"),
    ],
)
def test_an_attribute_out_of_range_is_refused(model: SqsModel, name: str, value: str) -> None:
    with pytest.raises(InvalidAttributeValueError, match=name):
        model.create("queue", {name: value}, {}, NOW)


@pytest.mark.parametrize("name", ["Colour", "QueueArn", "ApproximateNumberOfMessages"])
def test_an_attribute_that_cannot_be_set_is_refused(model: SqsModel, name: str) -> None:
    with pytest.raises(InvalidAttributeNameError, match=name):
        model.create("queue", {name: "1"}, {}, NOW)


def test_what_is_not_emulated_says_so(model: SqsModel) -> None:
    with pytest.raises(NotEmulatedError, match=r"does not emulate FIFO queues such as 'q\.fifo'"):
        model.create("q.fifo", {"FifoQueue": "true"}, {}, NOW)
    with pytest.raises(NotEmulatedError, match="KmsMasterKeyId"):
        model.create("queue", {"KmsMasterKeyId": "alias/key"}, {}, NOW)


@pytest.mark.parametrize("name", ["", "a" * 81, "with space", "ü"])
def test_a_name_that_sqs_would_not_take_is_refused(model: SqsModel, name: str) -> None:
    with pytest.raises(InvalidParameterError, match="QueueName"):
        model.create(name, {}, {}, NOW)


def test_a_deleted_queues_name_is_free_after_a_minute(model: SqsModel) -> None:
    model.create("queue", {}, {}, NOW).send("body", {}, NOW)
    model.delete("queue", NOW)
    assert model.find(model.account.arn("queue")) is None
    for _ in range(2):
        with pytest.raises(QueueDeletedRecentlyError, match=r"deleted 59 s ago"):
            model.create("queue", {}, {}, NOW + 59)
    assert model.create("queue", {}, {}, NOW + 60).counts(NOW + 60).visible == 0


def test_a_queue_is_found_by_its_whole_arn_only(model: SqsModel) -> None:
    queue = model.create("queue", {}, {}, NOW)
    assert model.find(queue.arn) is queue
    assert model.find(queue.arn.replace("us-east-1", "eu-west-1")) is None
    assert model.find("queue") is None
