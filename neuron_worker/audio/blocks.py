"""Decoded frames of any format become blocks at 16 kHz."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from neuron_worker.audio.mixing import Matrix, mix, separate_count, spread
from neuron_worker.cutting import SAMPLE_RATE

Block = npt.NDArray[np.float32]
"""Shape (channels, samples): at 16 kHz, full scale at 1, about a second."""

BLOCK_SECONDS = 1.0
"""Frames are gathered for this long; to resample each frame alone costs half as much again."""

BLOCK_SAMPLES_MAX = 2 * SAMPLE_RATE
"""Where a single frame is longer, it is cut."""


class Blocks:
    """Mixes or separates channels and resamples, about a second at a time.

    The format, the channels and the rate may change from one frame to the next; the number of
    channels that come out is fixed with the first frame.
    """

    def __init__(self, *, separate_channels: bool) -> None:
        self._separate = separate_channels
        self._channels: int | None = None if separate_channels else 1
        self._form: tuple[str, str, int] | None = None

    def add(self, frame: AudioFrame, silence_seconds: float) -> Iterator[Block]:
        """Take in a frame, and silence that belongs before it; yields what became full.

        Raises `TooManyChannelsError`.
        """
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            yield from self.rest()
            self._start(frame)
            self._form = form
        if silence_seconds > 0:
            yield from self._gathered()
            yield from self._silence(silence_seconds)
        frame.pts = None
        self._fifo.write(frame)
        if self._fifo.samples >= self._rate * BLOCK_SECONDS:
            yield from self._gathered()

    def rest(self) -> Iterator[Block]:
        """What is left, the resamplers' delay included."""
        if self._form is not None:
            yield from self._gathered()
            yield from _stacked([resampler.resample(None) for resampler in self._resamplers])

    def _start(self, frame: AudioFrame) -> None:
        names = tuple(channel.name for channel in frame.layout.channels)
        if self._channels is None:
            self._channels = separate_count(len(names))
        self._matrix: Matrix = spread(len(names), self._channels) if self._separate else mix(names)
        self._rate = frame.sample_rate
        self._fifo = AudioFifo()
        # Packed, because PyAV 18.1 reads beyond the planes of a planar frame of 8 or more channels.
        self._to_float = AudioResampler(format="flt")
        self._resamplers = [
            AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
            for _ in range(self._channels)
        ]

    def _gathered(self) -> Iterator[Block]:
        frame = self._fifo.read()
        if frame is not None:
            for part in self._to_float.resample(frame):
                yield from self._resampled(self._mixed(part.to_ndarray()))

    def _mixed(self, packed: npt.NDArray[Any]) -> Block:
        """Bounded and finite, unlike damaged floating-point audio: NaN would spread."""
        bounded = np.where(np.isnan(packed), np.float32(0), packed).clip(-1.0, 1.0)
        mixed: Block = self._matrix @ bounded.reshape(-1, self._matrix.shape[1]).T
        return mixed

    def _silence(self, seconds: float) -> Iterator[Block]:
        left = round(seconds * self._rate)
        while left > 0:
            count = min(left, round(self._rate * BLOCK_SECONDS))
            yield from self._resampled(np.zeros((len(self._resamplers), count), np.float32))
            left -= count

    def _resampled(self, block: Block) -> Iterator[Block]:
        if self._rate == SAMPLE_RATE:
            yield from _cut(block)
            return
        resampled = []
        for resampler, samples in zip(self._resamplers, block, strict=True):
            one = np.ascontiguousarray(samples)[np.newaxis]
            frame = AudioFrame.from_ndarray(one, format="fltp", layout="mono")
            frame.sample_rate = self._rate
            resampled.append(resampler.resample(frame))
        yield from _stacked(resampled)


def _stacked(channels: list[list[AudioFrame]]) -> Iterator[Block]:
    """The frames of each channel, as blocks of all of them."""
    for frames in zip(*channels, strict=True):
        yield from _cut(np.concatenate([frame.to_ndarray() for frame in frames]))


def _cut(block: Block) -> Iterator[Block]:
    for start in range(0, block.shape[1], BLOCK_SAMPLES_MAX):
        yield block[:, start : start + BLOCK_SAMPLES_MAX]
