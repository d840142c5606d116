"""Sending and receiving. Sources: API_SendMessage, API_ReceiveMessage, quotas-messages.html."""

from collections.abc import Callable
from typing import Any

import pytest

MEBIBYTE = 1_048_576
Refusal = Callable[..., str]


def text(value: str, data_type: str = "String") -> dict[str, str]:
    return {"DataType": data_type, "StringValue": value}


ATTRIBUTES: dict[str, dict[str, Any]] = {
    "name": text("übung"),
    "tries": text("3", "Number.int"),
    "bytes": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
}
MD5_OF_ATTRIBUTES = "c6d2630565d2651882ffc7b8e746c583"


def test_a_message_comes_as_it_was_sent(lab: Any) -> None:
    url = lab.queue()
    sent = lab.send(url, "übung", MessageAttributes=ATTRIBUTES)
    message = lab.receive_one(url)
    assert message["Body"] == "übung"
    assert message["MessageId"] == sent["MessageId"]
    assert message["MessageAttributes"] == ATTRIBUTES
    assert message["MD5OfBody"] == sent["MD5OfMessageBody"] == "530ca1d6029c45b7213d17c274017abe"
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"] == MD5_OF_ATTRIBUTES


def test_a_message_says_when_it_was_sent_and_first_received(lab: Any) -> None:
    url = lab.queue()
    lab.send(url)
    first = lab.receive_one(url, VisibilityTimeout=0)["Attributes"]
    second = lab.receive_one(url, VisibilityTimeout=0)["Attributes"]
    assert first["ApproximateReceiveCount"] == "1"
    assert second["ApproximateReceiveCount"] == "2"
    assert int(first["SentTimestamp"]) <= int(first["ApproximateFirstReceiveTimestamp"])
    for name in ("SentTimestamp", "ApproximateFirstReceiveTimestamp", "SenderId"):
        assert second[name] == first[name]


def test_only_the_attributes_asked_for_are_given(lab: Any) -> None:
    url = lab.queue()
    lab.send(url, MessageAttributes={"a.one": text("1"), "a.two": text("2"), "b": text("3")})

    def names(*wanted: str) -> set[str]:
        message = lab.receive_one(url, VisibilityTimeout=0, MessageAttributeNames=list(wanted))
        return set(message.get("MessageAttributes", {}))

    assert names() == set()
    assert names("b", "unknown") == {"b"}
    assert names("a.*") == {"a.one", "a.two"}
    assert names(".*") == {"a.one", "a.two", "b"}


def test_system_attributes_are_given_by_their_old_parameter_too(lab: Any) -> None:
    url = lab.queue()
    lab.send(url)
    plain = lab.receive_one(url, VisibilityTimeout=0, MessageSystemAttributeNames=[])
    assert "Attributes" not in plain
    old = lab.receive_one(
        url, MessageSystemAttributeNames=[], AttributeNames=["ApproximateReceiveCount"]
    )
    assert old["Attributes"] == {"ApproximateReceiveCount": "2"}


def test_a_trace_header_and_a_group_travel_with_the_message(lab: Any) -> None:
    url = lab.queue()
    header = {"AWSTraceHeader": text("Root=1-5759e988-bd862e3fe1be46a994272793")}
    sent = lab.send(url, MessageSystemAttributes=header, MessageGroupId="customer-7")
    assert "MD5OfMessageSystemAttributes" in sent
    attributes = lab.receive_one(url)["Attributes"]
    assert attributes["AWSTraceHeader"] == header["AWSTraceHeader"]["StringValue"]
    assert attributes["MessageGroupId"] == "customer-7"


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\ufffe"], ids=["null", "tab", "none"])
def test_forbidden_characters_are_refused(lab: Any, refusal: Refusal, character: str) -> None:
    code = refusal(lab.send, url=lab.queue(), body=f"a{character}b")
    assert code == "InvalidMessageContents"


def test_an_empty_body_is_refused(lab: Any, refusal: Refusal) -> None:
    refusal(lab.send, url=lab.queue(), body="")


def test_a_message_has_one_mebibyte_at_most(lab: Any, refusal: Refusal) -> None:
    url = lab.queue()
    assert lab.attributes(url, "MaximumMessageSize") == {"MaximumMessageSize": str(MEBIBYTE)}
    lab.send(url, "x" * MEBIBYTE)
    assert refusal(lab.send, url=url, body="x" * (MEBIBYTE + 1)) == "InvalidParameterValue"


def test_attributes_weigh_in_the_size_of_a_message(lab: Any, refusal: Refusal) -> None:
    url = lab.queue(MaximumMessageSize="1024")
    body = "x" * 1_020
    lab.send(url, body)
    code = refusal(lab.send, url=url, body=body, MessageAttributes={"name": text("value")})
    assert code == "InvalidParameterValue"


@pytest.mark.parametrize(
    ("name", "attribute"),
    [
        ("a..b", text("x")),
        ("AWS.name", text("x")),
        ("with space", text("x")),
        ("name", text("x", "Text")),
        ("name", text("one", "Number")),
        ("name", text("")),
    ],
    ids=["two stops", "AWS", "space", "type", "no number", "empty"],
)
def test_an_attribute_that_is_none_is_refused(
    lab: Any, refusal: Refusal, name: str, attribute: dict[str, str]
) -> None:
    code = refusal(lab.send, url=lab.queue(), MessageAttributes={name: attribute})
    assert code == "InvalidParameterValue"


def test_a_message_has_ten_attributes_at_most(lab: Any, refusal: Refusal) -> None:
    attributes = {f"name{number}": text("x") for number in range(11)}
    code = refusal(lab.send, url=lab.queue(), MessageAttributes=attributes)
    assert code == "InvalidParameterValue"


def test_what_is_for_fifo_queues_is_refused(lab: Any, refusal: Refusal) -> None:
    code = refusal(lab.send, url=lab.queue(), MessageDeduplicationId="once")
    assert code == "InvalidParameterValue"


@pytest.mark.parametrize(
    "parameters",
    [{"MaxNumberOfMessages": 0}, {"MaxNumberOfMessages": 11}, {"WaitTimeSeconds": -1}],
    ids=["none", "eleven", "wait"],
)
def test_a_receive_out_of_range_is_refused(
    lab: Any, refusal: Refusal, parameters: dict[str, int]
) -> None:
    url = lab.queue()
    code = refusal(lab.sqs.receive_message, QueueUrl=url, **parameters)
    assert code == "InvalidParameterValue"


def test_a_receive_takes_ten_messages_at_once(lab: Any) -> None:
    url = lab.queue()
    sent = {lab.send(url, str(number))["MessageId"] for number in range(12)}
    first, second = lab.receive(url), lab.receive(url)
    assert (len(first), len(second)) == (10, 2)
    assert {message["MessageId"] for message in first + second} == sent
    assert lab.counts(url) == (0, 12, 0)
