"""What is known of a recording, and how far the length that its container declares is believed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from av.audio.stream import AudioStream
from av.container.input import InputContainer

from neuron_worker.audio import riff
from neuron_worker.audio.source import Source

BARE_STREAMS = frozenset({"mp3", "aac", "ac3", "eac3", "amr"})
"""Formats without a container, whose timestamps and lengths FFmpeg can only count or estimate."""

INDEXED = frozenset(
    {"aiff", "caf", "flac", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2", "ogg", "w64", "wav"}
)
"""Formats whose packets tell their time wherever one begins to read."""

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
    start_seconds: float = 0.0
    """Where the samples begin; what is lost before it does not count."""


@dataclass(frozen=True, slots=True)
class DeclaredLength:
    """The length that the container declares, and whether it is one to go by."""

    seconds: float | None
    reliable: bool
    file_bytes: int
    promised_seconds: float | None = None
    """What a WAV file's header promises, where FFmpeg tells only how long the rest of it is."""

    @classmethod
    def by(cls, container: InputContainer, stream: AudioStream, source: Source) -> Self:
        """What an open container says of its stream."""
        file_bytes, bit_rate = source.size, stream.codec_context.bit_rate or 0
        own = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        whole = container.duration / AV_TIME_BASE if container.duration else None
        seconds = float(own) if own is not None else whole
        if seconds is None or seconds <= 0:
            return cls(None, reliable=False, file_bytes=file_bytes)
        reliable = own is not None or len(container.streams) == 1
        if container.format.name in BARE_STREAMS:
            # FFmpeg estimates from the bit rate, unless an MP3's header tells the length: then
            # it can promise more than the bytes there are.
            needed_bytes = seconds * bit_rate / 8
            reliable = container.format.name == "mp3" and needed_bytes > 1.01 * file_bytes
        promised = None
        if container.format.name == "wav" and bit_rate:
            promised = riff.promised_bytes(source.peek(0, riff.HEAD_BYTES))
        return cls(
            seconds,
            reliable=reliable,
            file_bytes=file_bytes,
            promised_seconds=promised * 8 / bit_rate if promised else None,
        )

    def exceeds(self, max_seconds: float) -> bool:
        """Whether the recording is too long, without decoding it first."""
        if self.seconds is None or not self.reliable:
            return False
        leanest = self.seconds * BYTES_PER_SECOND_MIN
        return self.seconds > max_seconds and self.file_bytes >= leanest

    def beyond(self, seconds: float) -> float | None:
        """The length there should be if audio is missing behind `seconds`: 1 s and 1 % or more."""
        expected = self.promised_seconds or (self.seconds if self.reliable else None) or 0.0
        return expected if expected - seconds > max(1.0, 0.01 * seconds) else None


def warnings(
    declared: DeclaredLength, *, seconds: float, lost_seconds: float, bad_packets: int, ended: bool
) -> Iterator[str]:
    """What the reader of a transcript should know of the recording's state."""
    if lost_seconds >= LOST_SECONDS_MIN:
        yield f"{lost_seconds:.1f} s of audio were unreadable and replaced by silence"
    elif bad_packets:
        yield f"unreadable packets were skipped: {bad_packets}"
    if ended and (expected := declared.beyond(seconds)):
        yield (
            f"the container declares {expected:.1f} s, but the audio ends after {seconds:.1f} s: "
            "the file may have been cut off"
        )
