"""Ranges: the parts of a long recording that are transcribed side by side, each by a worker.

The order says into how many a recording is cut. Range k begins at the longest pause near k / n of
its length. Both neighbours look for it, and the first to find it writes it down; the other goes by
that, so that no word is lost or told twice. A worker reads its range only, where the container lets
it. Each saves its windows under `ranges/`; the one that finds all of them there joins them into the
transcript: the same as that of the whole recording, but for where windows begin.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neuron_worker.audio import Recording as Audio
from neuron_worker.audio.blocks import Block
from neuron_worker.contract import Range
from neuron_worker.contract.document import Document
from neuron_worker.cutting import FRAME_SAMPLES, OVERLAP, SAMPLE_RATE, longest_pause
from neuron_worker.speech import SpeechDetector

REACH_SECONDS = 30.0
"""A pause is looked for so far before and behind the even cut: speech without one is rare."""


class Cut(Document):
    """Where one range ends and the next begins, in seconds from the start of the recording.

    They overlap where nobody pauses. `fingerprint` names the recording and how it is heard.
    """

    fingerprint: str
    end_seconds: float
    start_seconds: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """Between which seconds a range begins and ends; None where the recording does."""

    start: tuple[float, float] | None
    end: tuple[float, float] | None
    nothing: bool = False

    @classmethod
    def of(cls, part: Range, seconds: float | None) -> "Bounds":
        """Of a recording so long; where nobody knows how long, the first range is all of it."""
        if seconds is None:
            return cls(None, None, nothing=part.number > 0)
        each = seconds / part.count
        reach = min(REACH_SECONDS, each / 2)

        def around(number: int) -> tuple[float, float] | None:
            middle = number * each
            return (middle - reach, middle + reach) if 0 < number < part.count else None

        return cls(around(part.number), around(part.number + 1))

    @property
    def read_from(self) -> float:
        """Where to begin to read."""
        return self.start[0] if self.start else 0.0

    @property
    def begins_near(self) -> float:
        """Where the range would begin if it were cut evenly."""
        return sum(self.start) / 2 if self.start else 0.0


class RangeReader:
    """The blocks of one range.

    `begins_at` is known once the first block has come, `ends_at` after the last; it is 0 where none
    came.

    `agree` is asked with the number of a range and where this worker would let it begin (the
    seconds of the end before and of its start), and says where it does.
    """

    def __init__(
        self,
        audio: Audio,
        part: Range,
        bounds: Bounds,
        agree: Callable[[int, float, float], tuple[float, float]],
    ) -> None:
        self._audio = audio
        self._part = part
        self._bounds = bounds
        self._agree = agree
        self._incoming = audio.blocks()
        self._left: Block | None = None
        self._at = 0
        self.begins_at = 0.0
        self.ends_at = 0.0

    def blocks(self) -> Iterator[Block]:
        """Shape (channels, samples); none at all where the recording ends before the range."""
        if self._bounds.nothing:
            return
        self._left = next(self._incoming, None)
        self._at = round(self._audio.facts.start_seconds * SAMPLE_RATE)
        if self._bounds.start is not None:
            first, region = self._region(*self._bounds.start)
            _, start = self._agreed(self._part.number, first, region, self._bounds.start)
            self.begins_at = start / SAMPLE_RATE
            if start < self._at:
                yield region[:, max(0, start - first) :]
        if self._bounds.end is None:
            yield from self._until(None)
        else:
            yield from self._until(round(self._bounds.end[0] * SAMPLE_RATE))
            first, region = self._region(*self._bounds.end)
            end, _ = self._agreed(self._part.number + 1, first, region, self._bounds.end)
            self._at = min(self._at, max(first, end))
            if first < self._at:
                yield region[:, : self._at - first]
        ends_at = self._at / SAMPLE_RATE
        self.ends_at = ends_at if ends_at > self.begins_at else 0.0

    def _region(self, start_seconds: float, end_seconds: float) -> tuple[int, Block]:
        """Where it begins in samples, and what of it there is."""
        for _ in self._until(round(start_seconds * SAMPLE_RATE)):
            pass
        first = self._at
        found = list(self._until(round(end_seconds * SAMPLE_RATE)))
        return first, np.concatenate(found, axis=1) if found else np.zeros((1, 0), np.float32)

    def _agreed(
        self, number: int, first: int, region: Block, around: tuple[float, float]
    ) -> tuple[int, int]:
        """The samples at which the range before ends and this one begins."""
        if region.size:
            end, start = (first + offset for offset in place_of_cut(region))
        else:
            end = start = round(sum(around) / 2 * SAMPLE_RATE)
        agreed = self._agree(number, end / SAMPLE_RATE, start / SAMPLE_RATE)
        return round(agreed[0] * SAMPLE_RATE), round(agreed[1] * SAMPLE_RATE)

    def _until(self, sample: int | None) -> Iterator[Block]:
        """What comes before a sample; all there is for None."""
        while self._left is not None and (sample is None or self._at < sample):
            block, self._left = self._left, None
            if sample is not None and self._at + block.shape[1] > sample:
                block, self._left = np.split(block, [sample - self._at], axis=1)
            else:
                self._left = next(self._incoming, None)
            self._at += block.shape[1]
            yield block


def place_of_cut(region: Block) -> tuple[int, int]:
    """The samples of a stretch of audio, of whatever channels, at which to end and to go on.

    Both are in the middle of its longest pause; without any, they overlap around the quietest
    place.
    """
    found: Sequence[npt.NDArray[np.float32]] = [
        SpeechDetector().probabilities(np.ascontiguousarray(channel)) for channel in region
    ]
    frame, pause = longest_pause(np.max(found, axis=0).tolist())
    overlap = 0 if pause else OVERLAP // 2
    last = region.shape[1]
    return (
        min((frame + overlap) * FRAME_SAMPLES, last),
        max((frame - overlap) * FRAME_SAMPLES, 0),
    )
