"""What a message may contain."""

import re
from collections.abc import Mapping

from daemon.embedded.sqs import limits
from daemon.embedded.sqs.errors import (
    InvalidMessageContentsError,
    InvalidParameterError,
    MissingParameterError,
)
from daemon.embedded.sqs.messages import MessageAttribute

_FORBIDDEN = re.compile(limits.FORBIDDEN_CHARACTERS)
_ATTRIBUTE_NAME = re.compile(limits.ATTRIBUTE_NAME_PATTERN)
_ATTRIBUTE_TYPE = re.compile(limits.ATTRIBUTE_TYPE_PATTERN)


def size_bytes(body: str, attributes: Mapping[str, MessageAttribute]) -> int:
    """A message's size: its body, and names, types and values of its attributes."""
    return len(body.encode(errors="surrogatepass")) + sum(
        len(name.encode(errors="surrogatepass")) + attribute.size_bytes
        for name, attribute in attributes.items()
    )


def check(body: str, attributes: Mapping[str, MessageAttribute], most_bytes: int) -> None:
    """Refuse a message that SQS would refuse; an SqsError says why."""
    if not body:
        raise MissingParameterError(name="MessageBody")
    _check_text(body, "the message body")
    if attributes:
        _check_attributes(attributes)
    if size_bytes(body, attributes) > most_bytes:
        raise InvalidParameterError(
            name="MessageBody",
            value=f"of {size_bytes(body, attributes)} bytes",
            problem=f"Message must be shorter than {most_bytes} bytes",
        )


def _check_attributes(attributes: Mapping[str, MessageAttribute]) -> None:
    if len(attributes) > limits.ATTRIBUTES_MAX:
        problem = (
            f"Number of message attributes exceeds the allowed maximum [{limits.ATTRIBUTES_MAX}]"
        )
        raise InvalidParameterError(
            name="MessageAttributes", value=len(attributes), problem=problem
        )
    for name, attribute in attributes.items():
        for problem in _problems(name, attribute):
            raise InvalidParameterError(name="MessageAttributes", value=name, problem=problem)
        _check_text(attribute.data_type, f"the type of message attribute {name}")
        if isinstance(attribute.value, str):
            _check_text(attribute.value, f"message attribute {name}")


def _problems(name: str, attribute: MessageAttribute) -> list[str]:
    problems = []
    if not _ATTRIBUTE_NAME.fullmatch(name):
        problems.append(
            "The name can have 256 letters, digits, '_', '-' and '.', must not begin or end with "
            "'.' or contain '..', and must not begin with 'AWS.' or 'Amazon.'"
        )
    data_type = _ATTRIBUTE_TYPE.fullmatch(attribute.data_type)
    if data_type is None or len(attribute.data_type) > limits.ATTRIBUTE_TYPE_MAX_CHARACTERS:
        problems.append(
            f"The type {attribute.data_type!r} must be String, Number or Binary, with a label "
            "after '.' if wanted"
        )
    elif (data_type["kind"] == "Binary") != isinstance(attribute.value, bytes):
        problems.append(f"The value is not of the type {attribute.data_type}")
    elif data_type["kind"] == "Number" and not _is_number(str(attribute.value)):
        problems.append(f"{attribute.value!r} is not a number")
    if not attribute.value:
        problems.append("The value must not be empty")
    return problems


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_text(text: str, where: str) -> None:
    found = _FORBIDDEN.search(text)
    if found is not None:
        raise InvalidMessageContentsError(character=found[0], where=where)
