"""What the worker and its decoder process say to each other.

A message is a head in JSON, checked by its model, and a body of plain bytes. Nothing is unpickled:
a decoder that a file has taken over can say nothing but these messages.
"""

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from neuron_worker.audio.blocks import BLOCK_SAMPLES_MAX
from neuron_worker.audio.facts import AudioFacts
from neuron_worker.audio.mixing import SEPARATE_CHANNELS_MAX

LENGTHS = struct.Struct("!II")
"""The bytes of the head and of the body, before them."""

HEAD_BYTES_MAX = 64 * 1024
READ_BYTES_MAX = 256 * 1024
"""What the decoder asks of the file at a time: a round trip costs little beside decoding that."""

BODY_BYTES_MAX = 4 * BLOCK_SAMPLES_MAX * SEPARATE_CHANNELS_MAX

OUT_OF_MEMORY_EXIT_CODE = 71
"""How a decoder ends that cannot have the memory it needs (EX_OSERR in sysexits.h): saying so
would need some."""


@dataclass(frozen=True, slots=True)
class Open:
    """To the decoder: read this file."""

    size: int
    max_seconds: float
    separate_channels: bool
    start_seconds: float = 0.0
    kind: Literal["open"] = "open"


@dataclass(frozen=True, slots=True)
class Content:
    """To the decoder: what it asked for, as the body."""

    kind: Literal["content"] = "content"


@dataclass(frozen=True, slots=True)
class Ready:
    """From the decoder, once: it is up."""

    kind: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class Read:
    """From the decoder: it needs these bytes of the file."""

    offset: Annotated[int, Field(ge=0)]
    size: Annotated[int, Field(gt=0, le=READ_BYTES_MAX)]
    kind: Literal["read"] = "read"


@dataclass(frozen=True, slots=True)
class Opened:
    """From the decoder: the file is a recording."""

    facts: AudioFacts
    kind: Literal["opened"] = "opened"


@dataclass(frozen=True, slots=True)
class Audio:
    """From the decoder: a block, float32, one channel behind the other, as the body."""

    channels: Annotated[int, Field(ge=1, le=SEPARATE_CHANNELS_MAX)]
    facts: AudioFacts
    kind: Literal["audio"] = "audio"


@dataclass(frozen=True, slots=True)
class Ended:
    """From the decoder: that was all."""

    facts: AudioFacts
    kind: Literal["ended"] = "ended"


@dataclass(frozen=True, slots=True)
class Refused:
    """From the decoder: an `AudioError`, by its class's name and the fields of its message."""

    error: str
    fields: dict[str, str | int | float]
    kind: Literal["refused"] = "refused"


@dataclass(frozen=True, slots=True)
class Broken:
    """From the decoder: a fault of its own code."""

    traceback: str
    kind: Literal["broken"] = "broken"


Message = Open | Content | Ready | Read | Opened | Audio | Ended | Refused | Broken

_HEADS: TypeAdapter[Message] = TypeAdapter(Annotated[Message, Field(discriminator="kind")])


class LineError(Exception):
    """The conversation cannot go on."""


class HungUp(LineError):
    """The other side closed the line."""


class Silent(LineError):
    """The other side neither spoke nor listened for too long."""


class Nonsense(LineError):
    """What came is no message."""


class Line:
    """One end of the line between the two processes."""

    PATIENCE_PARTS = 10
    """Patience is waited in parts, so that a pause of the whole machine uses up one of them."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def be_patient(self, seconds: float) -> None:
        """From now on wait so long for the other side; without this, for ever."""
        self._connection.settimeout(seconds / self.PATIENCE_PARTS)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()

    def send(self, message: Message, body: bytes = b"") -> None:
        """Say something. Raises `HungUp` and `Silent`."""
        head = _HEADS.dump_json(message)
        left = memoryview(LENGTHS.pack(len(head), len(body)) + head + body)
        while left:
            left = left[self._moved(self._connection.send, left) :]

    def receive(self) -> tuple[Message, bytearray]:
        """Wait for a message and its body. Raises `HungUp`, `Silent` and `Nonsense`."""
        head_bytes, body_bytes = LENGTHS.unpack(self._exactly(LENGTHS.size))
        if head_bytes > HEAD_BYTES_MAX or body_bytes > BODY_BYTES_MAX:
            raise Nonsense(f"{head_bytes} and {body_bytes} bytes")
        try:
            message = _HEADS.validate_json(self._exactly(head_bytes))
        except ValidationError as error:
            raise Nonsense(str(error)) from error
        return message, self._exactly(body_bytes)

    def _exactly(self, count: int) -> bytearray:
        content = bytearray(count)
        left = memoryview(content)
        while left:
            moved = self._moved(self._connection.recv_into, left)
            if not moved:
                raise HungUp
            left = left[moved:]
        return content

    def _moved(self, operation: Callable[[memoryview], int], view: memoryview) -> int:
        for _ in range(self.PATIENCE_PARTS):
            try:
                return operation(view)
            except TimeoutError:
                continue
            except ConnectionError as error:
                raise HungUp from error
        raise Silent
