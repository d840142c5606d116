"""Decoded frames of any format become mono blocks at 16 kHz."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from av.audio.fifo import AudioFifo
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

from neuron_worker.cutting import SAMPLE_RATE

Block = npt.NDArray[np.float32]
"""Mono samples at 16 kHz, full scale at 1, about a second of them."""

BLOCK_SECONDS = 1.0
"""Frames are gathered for this long; to resample each frame alone costs half as much again."""

BLOCK_SAMPLES_MAX = 2 * SAMPLE_RATE
"""A codec whose frames are longer has them cut."""


class Blocks:
    """Averages channels and resamples, about a second at a time.

    The format, the channels and the rate may change from one frame to the next.
    """

    def __init__(self) -> None:
        self._form: tuple[str, str, int] | None = None
        self._rate = SAMPLE_RATE
        self._start(SAMPLE_RATE)

    def add(self, frame: AudioFrame, silence_seconds: float) -> Iterator[Block]:
        """Take in a frame, and silence that belongs before it; yields what became full."""
        form = (frame.format.name, frame.layout.name, frame.sample_rate)
        if form != self._form:
            yield from self.rest()
            self._form = form
            self._start(frame.sample_rate)
        if silence_seconds > 0:
            yield from self._gathered()
            yield from self._silence(silence_seconds)
        frame.pts = None
        self._fifo.write(frame)
        if self._fifo.samples >= self._rate * BLOCK_SECONDS:
            yield from self._gathered()

    def rest(self) -> Iterator[Block]:
        """What is left, the resampler's delay included."""
        yield from self._gathered()
        for part in self._resampler.resample(None):
            yield part.to_ndarray()[0]

    def _start(self, rate: int) -> None:
        self._rate = rate
        self._fifo = AudioFifo()
        # Packed, because PyAV 18.1 reads beyond the planes of a planar frame of 8 or more channels.
        self._to_float = AudioResampler(format="flt")
        self._resampler = AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)

    def _gathered(self) -> Iterator[Block]:
        frame = self._fifo.read()
        if frame is not None:
            for part in self._to_float.resample(frame):
                yield from self._resampled(_mono(part.to_ndarray(), part.layout.nb_channels))

    def _silence(self, seconds: float) -> Iterator[Block]:
        left = round(seconds * self._rate)
        while left > 0:
            count = min(left, round(self._rate * BLOCK_SECONDS))
            yield from self._resampled(np.zeros(count, np.float32))
            left -= count

    def _resampled(self, samples: Block) -> Iterator[Block]:
        if self._rate == SAMPLE_RATE:
            yield samples
            return
        frame = AudioFrame.from_ndarray(samples[np.newaxis], format="fltp", layout="mono")
        frame.sample_rate = self._rate
        for part in self._resampler.resample(frame):
            yield part.to_ndarray()[0]


def _mono(packed: npt.NDArray[Any], channels: int) -> Block:
    """The mean of the channels of packed samples, bounded and finite.

    Damaged floating-point audio can hold NaN, which would spread through filters and networks.
    """
    bounded = np.where(np.isnan(packed), np.float32(0), packed).clip(-1.0, 1.0)
    mean: Block = bounded.reshape(-1, channels) @ np.full(channels, 1 / channels, np.float32)
    return mean
