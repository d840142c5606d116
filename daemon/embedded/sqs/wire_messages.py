"""Messages as the wire writes them."""

import re
from base64 import b64decode, b64encode
from collections.abc import Collection, Mapping

from daemon.embedded.sqs import limits
from daemon.embedded.sqs.context import Document, Parameters
from daemon.embedded.sqs.errors import InvalidAttributeNameError, InvalidParameterError
from daemon.embedded.sqs.messages import (
    Delivery,
    MessageAttribute,
    md5_of_attributes,
    md5_of_text,
)

SENDER_ID = "AIDAEMBEDDED"
"""SenderId of every message: whoever asks is the one user of the one account."""

TRACE_HEADER = "AWSTraceHeader"

FOR_FIFO_QUEUES = ("MessageDeduplicationId", "ReceiveRequestAttemptId")
"""Parameters that are not valid for standard queues (botocore, SendMessageRequest and
ReceiveMessageRequest)."""

RECEIVABLE = frozenset(
    {
        "SenderId",
        "SentTimestamp",
        "ApproximateReceiveCount",
        "ApproximateFirstReceiveTimestamp",
        "SequenceNumber",
        "MessageDeduplicationId",
        "MessageGroupId",
        TRACE_HEADER,
        "DeadLetterQueueSourceArn",
    }
)
"""System attributes that a receive may ask for (botocore, MessageSystemAttributeName)."""


def check_parameters(parameters: Parameters) -> None:
    """Refuse what is only for FIFO queues, and a group id that is none."""
    for name in FOR_FIFO_QUEUES:
        if name in parameters:
            problem = "The request includes a parameter that is not valid for this queue type"
            raise InvalidParameterError(name=name, value=parameters[name], problem=problem)
    group_id = parameters.get("MessageGroupId")
    if group_id is not None and not re.fullmatch(limits.GROUP_ID_PATTERN, group_id):
        problem = (
            "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128"
        )
        raise InvalidParameterError(name="MessageGroupId", value=group_id, problem=problem)


def read_attributes(parameters: Parameters) -> dict[str, MessageAttribute]:
    """The message attributes of a send."""
    return {
        name: _read_attribute("MessageAttributes", name, value)
        for name, value in parameters.get("MessageAttributes", {}).items()
    }


def read_trace_header(parameters: Parameters) -> MessageAttribute | None:
    """The one system attribute that a sender can give: AWSTraceHeader."""
    found = None
    for name, value in parameters.get("MessageSystemAttributes", {}).items():
        attribute = _read_attribute("MessageSystemAttributes", name, value)
        if name != TRACE_HEADER or attribute.data_type != "String":
            problem = f"Only {TRACE_HEADER}, a String, can be sent"
            raise InvalidParameterError(name="MessageSystemAttributes", value=name, problem=problem)
        found = attribute
    return found


def sent(
    message_id: str,
    body: str,
    attributes: Mapping[str, MessageAttribute],
    trace_header: MessageAttribute | None,
) -> Document:
    """What the sender of a message is told."""
    answer = {"MessageId": message_id, "MD5OfMessageBody": md5_of_text(body)}
    if attributes:
        answer["MD5OfMessageAttributes"] = md5_of_attributes(attributes)
    if trace_header is not None:
        answer["MD5OfMessageSystemAttributes"] = md5_of_attributes({TRACE_HEADER: trace_header})
    return answer


def wanted_attributes(parameters: Parameters) -> frozenset[str]:
    """The system attributes that a receive asks for, by the new parameter or the old one."""
    names = {
        *parameters.get("AttributeNames", ()),
        *parameters.get("MessageSystemAttributeNames", ()),
    }
    for name in names - RECEIVABLE - {"All"}:
        raise InvalidAttributeNameError(name=name)
    return RECEIVABLE if "All" in names else frozenset(names)


def delivered(
    delivery: Delivery, system_names: Collection[str], attribute_names: Collection[str]
) -> Document:
    """A message as a receive hands it out."""
    answer: Document = {
        "MessageId": delivery.message_id,
        "ReceiptHandle": delivery.receipt_handle,
        "MD5OfBody": md5_of_text(delivery.body),
        "Body": delivery.body,
    }
    if system := {
        name: value for name, value in _system_attributes(delivery) if name in system_names
    }:
        answer["Attributes"] = system
    if attributes := {
        name: value
        for name, value in delivery.attributes.items()
        if any(_asks_for(wanted, name) for wanted in attribute_names)
    }:
        answer["MD5OfMessageAttributes"] = md5_of_attributes(attributes)
        answer["MessageAttributes"] = {
            name: _write_attribute(attribute) for name, attribute in attributes.items()
        }
    return answer


def milliseconds(seconds: float) -> int:
    """A time as SQS writes it."""
    return int(seconds * 1_000)


def _system_attributes(delivery: Delivery) -> list[tuple[str, str]]:
    attributes = [
        ("SenderId", SENDER_ID),
        ("SentTimestamp", str(milliseconds(delivery.sent_at))),
        ("ApproximateReceiveCount", str(delivery.receive_count)),
        ("ApproximateFirstReceiveTimestamp", str(milliseconds(delivery.first_received_at))),
    ]
    optional = [
        ("MessageGroupId", delivery.group_id),
        (TRACE_HEADER, delivery.trace_header),
        ("DeadLetterQueueSourceArn", delivery.dead_letter_source),
    ]
    return attributes + [(name, value) for name, value in optional if value is not None]


def _asks_for(wanted: str, name: str) -> bool:
    if wanted == "All":
        return True
    return name.startswith(wanted[:-2]) if wanted.endswith(".*") else name == wanted


def _read_attribute(where: str, name: str, value: Parameters) -> MessageAttribute:
    if "BinaryValue" not in value:
        return MessageAttribute(value["DataType"], value.get("StringValue", ""))
    try:
        return MessageAttribute(value["DataType"], b64decode(value["BinaryValue"], validate=True))
    except ValueError:
        problem = "BinaryValue is not base64"
        raise InvalidParameterError(name=where, value=name, problem=problem) from None


def _write_attribute(attribute: MessageAttribute) -> Document:
    if isinstance(attribute.value, bytes):
        binary = b64encode(attribute.value).decode()
        return {"DataType": attribute.data_type, "BinaryValue": binary}
    return {"DataType": attribute.data_type, "StringValue": attribute.value}
