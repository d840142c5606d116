"""Find speech and cut it into windows of at most 30 s at silences."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

SAMPLE_RATE = 16_000
"""Samples per second of everything after decoding: what Whisper and Silero VAD take."""

WINDOW_MAX_SECONDS = 30.0
"""What Whisper's encoder takes in one pass (arXiv 2212.04356, section 2.2)."""


@dataclass(frozen=True, slots=True)
class Window:
    """A contiguous stretch of audio with speech in it, for one pass of the encoder.

    `samples` is mono float32 at 16 kHz; sample i was heard at `start_seconds + i / SAMPLE_RATE`.
    """

    start_seconds: float
    samples: npt.NDArray[np.float32]
