"""Messages: as they are sent, as they stand in a queue, and as they are delivered."""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MessageAttribute:
    """A value that travels beside the body: text, or bytes where the type is Binary."""

    data_type: str
    value: str | bytes

    @property
    def size_bytes(self) -> int:
        """What it weighs in the message's size, without its name."""
        return len(_bytes(self.data_type)) + len(_bytes(self.value))


@dataclass(slots=True, eq=False)
class Message:
    """A message in a queue. Times are Unix seconds.

    `receive_count` counts over all queues that the message has been in. `received_at` is the time
    of the last receive, which bounds how long it can stay hidden. `came_back` is whether it has
    been deleted in vain once.
    """

    message_id: str
    body: str
    attributes: Mapping[str, MessageAttribute]
    sent_at: float
    trace_header: str | None = None
    group_id: str | None = None
    receive_count: int = 0
    first_received_at: float = 0.0
    received_at: float = 0.0
    dead_letter_source: str | None = None
    came_back: bool = False


@dataclass(frozen=True, slots=True)
class SentMessage:
    """What the sender is told."""

    message_id: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What one receive hands out of a message. Times are Unix seconds."""

    message_id: str
    receipt_handle: str
    body: str
    attributes: Mapping[str, MessageAttribute]
    receive_count: int
    sent_at: float
    first_received_at: float
    trace_header: str | None = None
    group_id: str | None = None
    dead_letter_source: str | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many messages a queue holds, by what can happen to them."""

    visible: int
    in_flight: int
    delayed: int


def md5_of_text(text: str) -> str:
    """MD5OfBody."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def md5_of_attributes(attributes: Mapping[str, MessageAttribute]) -> str:
    """MD5OfMessageAttributes: by name; name, type and value each with its length before it.

    Source: GUIDE, sqs-message-metadata.html, "Calculating the MD5 message digest".
    """
    digest = hashlib.md5(usedforsecurity=False)
    for name in sorted(attributes):
        attribute = attributes[name]
        digest.update(_with_length(name.encode()) + _with_length(attribute.data_type.encode()))
        digest.update(b"\x02" if isinstance(attribute.value, bytes) else b"\x01")
        digest.update(_with_length(_bytes(attribute.value)))
    return digest.hexdigest()


def _with_length(data: bytes) -> bytes:
    return struct.pack("!I", len(data)) + data


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode(errors="surrogatepass")
