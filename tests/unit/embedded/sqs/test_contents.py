import pytest

from daemon.embedded.sqs.contents import check, size_bytes
from daemon.embedded.sqs.errors import (
    InvalidMessageContentsError,
    InvalidParameterError,
    MissingParameterError,
)
from daemon.embedded.sqs.messages import MessageAttribute, md5_of_attributes

MEBIBYTE = 1_048_576
TEXT = MessageAttribute("String", "text")


def test_what_sqs_takes_is_taken() -> None:
    attributes = {
        "a.b-c_D": TEXT,
        "number": MessageAttribute("Number.int", "-1.5e3"),
        "bytes": MessageAttribute("Binary.png", b"\x00"),
    }
    check("\t\n\r ~\ud7ff\ue000\ufffd\U00010000\U0010ffff", attributes, MEBIBYTE)


def test_an_empty_body_is_missing() -> None:
    with pytest.raises(MissingParameterError, match="MessageBody"):
        check("", {}, MEBIBYTE)


@pytest.mark.parametrize(
    "character", ["\x00", "\x08", "\x0b", "\x1f", "\ud800", "\ufffe", "\uffff"]
)
def test_a_character_outside_the_allowed_set_is_refused(character: str) -> None:
    with pytest.raises(InvalidMessageContentsError, match="in the message body"):
        check(f"before {character} after", {}, MEBIBYTE)
    with pytest.raises(InvalidMessageContentsError, match="in message attribute name"):
        check("body", {"name": MessageAttribute("String", character)}, MEBIBYTE)


def test_the_size_of_a_message_is_that_of_body_and_attributes_in_utf_8() -> None:
    attributes = {"name": MessageAttribute("Binary", b"12345")}
    assert size_bytes("ü", attributes) == 2 + 4 + 6 + 5
    check("ü", attributes, 17)
    with pytest.raises(InvalidParameterError, match="shorter than 16 bytes"):
        check("ü", attributes, 16)


@pytest.mark.parametrize(
    "name", ["", "a" * 257, "with space", ".a", "a.", "a..b", "AWS.x", "aws.x", "Amazon.x"]
)
def test_an_attribute_name_that_sqs_would_not_take_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameterError, match="MessageAttributes"):
        check("body", {name: TEXT}, MEBIBYTE)


@pytest.mark.parametrize(
    "attribute",
    [
        MessageAttribute("string", "a"),
        MessageAttribute("Text", "a"),
        MessageAttribute("String." + "a" * 250, "a"),
        MessageAttribute("String", ""),
        MessageAttribute("String", b"a"),
        MessageAttribute("Binary", "a"),
        MessageAttribute("Number", "one"),
    ],
)
def test_an_attribute_value_that_sqs_would_not_take_is_refused(attribute: MessageAttribute) -> None:
    with pytest.raises(InvalidParameterError, match="MessageAttributes"):
        check("body", {"name": attribute}, MEBIBYTE)


def test_a_message_has_ten_attributes_at_most() -> None:
    check("body", {f"a{number}": TEXT for number in range(10)}, MEBIBYTE)
    with pytest.raises(InvalidParameterError, match="exceeds the allowed maximum"):
        check("body", {f"a{number}": TEXT for number in range(11)}, MEBIBYTE)


def test_the_digest_of_attributes_does_not_depend_on_their_order() -> None:
    binary = MessageAttribute("Binary", b"text")
    one = md5_of_attributes({"a": TEXT, "b": binary})
    assert one == md5_of_attributes({"b": binary, "a": TEXT})
    assert one != md5_of_attributes({"a": TEXT, "b": TEXT})
