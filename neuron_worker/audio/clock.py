"""Where decoded audio belongs in time, and how much silence must stand for what is missing."""

from dataclasses import dataclass, field
from typing import Protocol

DRIFT_MAX_SECONDS = 0.05
"""How far timestamps and the count of samples may differ before one of them is corrected.

Above the jitter of Matroska's millisecond timestamps and of a codec frame or two (20 to 26 ms).
"""

GAP_UNPROVEN_MAX_SECONDS = 60.0
"""The longest gap believed when it ends beyond the length that the container declares."""

ID3_HEADER_BYTES = 10
"""A tag's first bytes, the last four of them its size in 7-bit parts (id3.org/id3v2.4.0, 3.1)."""


class Clock(Protocol):
    """Counts the seconds decoded so far and places each next frame."""

    seconds: float
    """The length so far, silence included."""
    lost_seconds: float
    """How much of it is silence for what was lost."""

    def place(self, start_seconds: float | None, seconds: float, packet_bytes: int) -> float:
        """Take in a decoded frame; returns the seconds of silence that belong before it."""

    def skip(self, packet_bytes: int, head: bytes) -> None:
        """Take in a packet that could not be decoded; `head` is its first bytes."""


@dataclass(slots=True)
class TimestampClock:
    """For containers that carry timestamps: a frame that starts late follows a gap.

    One wrong timestamp proves nothing: a gap is believed once two frames in a row are late, and
    only if it fits the declared length. A clock that jumps back is a new clock: the audio goes on.
    """

    origin_seconds: float | None
    """The timestamp of second zero; None takes the first frame's."""
    declared_seconds: float | None
    seconds: float = 0.0
    lost_seconds: float = 0.0
    _shift: float = field(default=0.0, init=False)
    _late_before: float = field(default=0.0, init=False)
    _started: bool = field(default=False, init=False)

    def place(self, start_seconds: float | None, seconds: float, packet_bytes: int) -> float:  # noqa: ARG002
        """Take in a decoded frame; returns the seconds of silence that belong before it."""
        silence = 0.0
        if start_seconds is not None:
            silence = self._gap(start_seconds) if self._started else self._lead(start_seconds)
        self.seconds += silence + seconds
        return silence

    def skip(self, packet_bytes: int, head: bytes) -> None:
        """Nothing: the next frame's timestamp tells what was lost."""

    def _lead(self, start: float) -> float:
        """The stream may start after its container does, as audio beside video."""
        self._started = True
        origin = start if self.origin_seconds is None else self.origin_seconds
        lead = start - origin
        believed = lead if lead > DRIFT_MAX_SECONDS and self._plausible(lead) else 0.0
        self._shift = self.seconds + believed - start
        return believed

    def _gap(self, start: float) -> float:
        late, before = start + self._shift - self.seconds, self._late_before
        gap = 0.0
        if min(late, before) > DRIFT_MAX_SECONDS:
            agreed = min(late, before)
            if self._plausible(agreed):
                gap = agreed
            else:
                self._shift -= agreed
            late -= agreed
        elif max(late, before) < -DRIFT_MAX_SECONDS:
            agreed = max(late, before)
            self._shift -= agreed
            late -= agreed
        self._late_before = late
        self.lost_seconds += gap
        return gap

    def _plausible(self, gap: float) -> bool:
        fits = self.declared_seconds is not None and self.seconds + gap <= self.declared_seconds
        return fits or gap <= GAP_UNPROVEN_MAX_SECONDS


@dataclass(slots=True)
class ByteClock:
    """For bare MP3 and AAC streams, whose timestamps only count packets: lost bytes are lost time.

    They count at the mean bytes per second of what was decoded, which is exact at a constant bit
    rate. Bytes before the first and after the last good frame, and ID3 tags, are not audio.
    """

    seconds: float = 0.0
    lost_seconds: float = 0.0
    _good_bytes: int = field(default=0, init=False)
    _bad_bytes: int = field(default=0, init=False)
    _tag_bytes: int = field(default=0, init=False)

    def place(self, start_seconds: float | None, seconds: float, packet_bytes: int) -> float:  # noqa: ARG002
        """Take in a decoded frame; returns the seconds of silence that belong before it."""
        silence = 0.0
        if self._good_bytes:
            decoded_seconds = self.seconds - self.lost_seconds
            silence = self._bad_bytes * decoded_seconds / self._good_bytes
        self._bad_bytes = self._tag_bytes = 0
        self._good_bytes += packet_bytes
        self.lost_seconds += silence
        self.seconds += silence + seconds
        return silence

    def skip(self, packet_bytes: int, head: bytes) -> None:
        """Take in a packet that could not be decoded; `head` is its first bytes."""
        if head.startswith(b"ID3") and len(head) >= ID3_HEADER_BYTES:
            size = sum((byte & 0x7F) << 7 * place for place, byte in enumerate(head[9:5:-1]))
            self._tag_bytes += ID3_HEADER_BYTES + size
        tag_bytes = min(packet_bytes, self._tag_bytes)
        self._tag_bytes -= tag_bytes
        self._bad_bytes += packet_bytes - tag_bytes
