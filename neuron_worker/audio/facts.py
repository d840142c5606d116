"""What is known of a recording, and how far the length that its container declares is believed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from av.audio.stream import AudioStream
from av.container.input import InputContainer

BARE_STREAMS = frozenset({"mp3", "aac", "ac3", "eac3", "amr"})
"""Formats without a container, whose timestamps and lengths FFmpeg can only count or estimate."""

BYTES_PER_SECOND_MIN = 250
"""A declared length that leaves fewer bytes than this for each second is not believed.

The leanest speech codecs take more: AMR-NB's lowest mode 650 (RFC 4867, section 5.3).
"""

LOST_SECONDS_MIN = 0.1
"""Less is not worth a number in a warning."""

AV_TIME_BASE = 1_000_000
"""Units per second of a container's own times (libavutil/avutil.h)."""


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What is known of a recording: so far, while it is read."""

    container: str
    codec: str
    channels: int
    container_seconds: float | None
    """The length that the container declares or FFmpeg estimates; it can be wrong."""
    seconds: float
    """The length of what was decoded and of the silence that stands for what was lost."""
    lost_seconds: float
    bad_packets: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeclaredLength:
    """The length that the container declares, and whether it is one to go by."""

    seconds: float | None
    reliable: bool
    file_bytes: int

    @classmethod
    def by(cls, container: InputContainer, stream: AudioStream, file_bytes: int) -> Self:
        """What an open container says of its stream."""
        own = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        whole = container.duration / AV_TIME_BASE if container.duration else None
        seconds = float(own) if own is not None else whole
        if seconds is None or seconds <= 0:
            return cls(None, reliable=False, file_bytes=file_bytes)
        reliable = own is not None or len(container.streams) == 1
        if container.format.name in BARE_STREAMS:
            # FFmpeg estimates from the bit rate, unless an MP3's header tells the length: then
            # it can promise more than the bytes there are.
            promised_bytes = seconds * (stream.codec_context.bit_rate or 0) / 8
            reliable = container.format.name == "mp3" and promised_bytes > 1.01 * file_bytes
        return cls(seconds, reliable=reliable, file_bytes=file_bytes)

    def exceeds(self, max_seconds: float) -> bool:
        """Whether the recording is too long, without decoding it first."""
        if self.seconds is None or not self.reliable:
            return False
        leanest = self.seconds * BYTES_PER_SECOND_MIN
        return self.seconds > max_seconds and self.file_bytes >= leanest

    def is_longer_than(self, seconds: float) -> bool:
        """Whether audio is missing at the end: more than 1 s and more than 1 %."""
        missing = (self.seconds or 0.0) - seconds
        return self.reliable and missing > max(1.0, 0.01 * seconds)


def warnings(
    declared: DeclaredLength, *, seconds: float, lost_seconds: float, bad_packets: int, ended: bool
) -> Iterator[str]:
    """What the reader of a transcript should know of the recording's state."""
    if lost_seconds >= LOST_SECONDS_MIN:
        yield f"{lost_seconds:.1f} s of audio were unreadable and replaced by silence"
    elif bad_packets:
        yield f"unreadable packets were skipped: {bad_packets}"
    if ended and declared.is_longer_than(seconds):
        yield (
            f"the container declares {declared.seconds:.1f} s, but the audio ends after "
            f"{seconds:.1f} s: the file may have been cut off"
        )
