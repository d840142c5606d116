import json
from typing import Any

import pytest

from daemon.embedded.shapes import Shapes
from daemon.embedded.sqs.errors import (
    MalformedRequestError,
    MissingParameterError,
    QueueDoesNotExistError,
    UnknownOperationError,
)
from daemon.embedded.sqs.operations import OPERATIONS
from daemon.embedded.sqs.protocol import Protocol, write_refusal

SEND = "AmazonSQS.SendMessage"


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return Protocol()


def test_an_operation_is_found_by_its_target(protocol: Protocol) -> None:
    body = {"QueueUrl": "u", "MessageBody": "b"}
    assert protocol.read(SEND, json.dumps(body).encode()) == ("SendMessage", body)


@pytest.mark.parametrize("target", ["", "SendMessage", "AmazonSQS.", "AmazonSNS.SendMessage"])
def test_what_is_no_operation_of_sqs_is_refused(protocol: Protocol, target: str) -> None:
    with pytest.raises(UnknownOperationError):
        protocol.read(target, b"{}")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"not json", "not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"QueueUrl": 1, "MessageBody": "b"}', "QueueUrl"),
        (b'{"QueueUrl": "u", "MessageBody": "b", "Colour": "red"}', "Colour"),
        (b'{"QueueUrl": "u", "MessageBody": "b", "DelaySeconds": "1"}', "DelaySeconds"),
    ],
)
def test_a_request_of_another_shape_is_refused(
    protocol: Protocol, body: bytes, complaint: str
) -> None:
    with pytest.raises(MalformedRequestError, match=complaint):
        protocol.read(SEND, body)


def test_a_missing_parameter_is_named(protocol: Protocol) -> None:
    with pytest.raises(MissingParameterError, match="MessageBody"):
        protocol.read(SEND, b'{"QueueUrl": "u"}')


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        ("SendMessage", {"MessageId": 1}),
        ("SendMessage", {"Colour": "red"}),
        ("ReceiveMessage", {"Messages": [{"Body": None}]}),
        ("DeleteMessage", {"MessageId": "a"}),
    ],
)
def test_an_answer_that_a_client_could_not_read_is_never_given(
    protocol: Protocol, operation: str, answer: dict[str, Any]
) -> None:
    with pytest.raises(TypeError):
        protocol.write(operation, answer)


def test_a_refusal_has_the_codes_of_both_protocols() -> None:
    body, headers = write_refusal(QueueDoesNotExistError(queue="q"))
    assert json.loads(body)["__type"] == "com.amazonaws.sqs#QueueDoesNotExist"
    assert headers == {"x-amzn-query-error": "AWS.SimpleQueueService.NonExistentQueue;Sender"}


def test_every_operation_that_is_emulated_is_one_of_sqs() -> None:
    assert set(Shapes("sqs").service.operation_names) > OPERATIONS.keys()
