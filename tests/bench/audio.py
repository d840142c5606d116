"""Decode a file the way the peers do who leave it to their caller, and write the bench's own."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame

SAMPLE_RATE = 16_000
"""What Whisper hears."""

FULL_SCALE = 32_768
"""Of a 16-bit sample."""

BLOCK_SAMPLES = 4_096
"""Written at a time."""

Samples = npt.NDArray[np.int16]
"""Mono, 16 kHz."""


def read(file: Path) -> Samples:
    """All of a file, as mono 16-bit samples at 16 kHz."""
    resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)
    with av.open(str(file)) as container:
        blocks = [
            part.to_ndarray().reshape(-1)
            for frame in [*container.decode(audio=0), None]
            for part in resampler.resample(frame)
        ]
    return np.concatenate(blocks).astype(np.int16)


def waveform(file: Path) -> npt.NDArray[np.float32]:
    """All of a file, as mono samples from -1 to 1 at 16 kHz: what the peers take."""
    return read(file).astype(np.float32) / np.float32(FULL_SCALE)


def write(samples: Samples, file: Path) -> None:
    """Write FLAC, which loses nothing."""
    with av.open(str(file), "w", format="flac") as container:
        stream = container.add_stream("flac", rate=SAMPLE_RATE, layout="mono", format="s16")
        for frame in [*_frames(samples), None]:
            container.mux(stream.encode(frame))


def _frames(samples: Samples) -> Iterator[AudioFrame]:
    for start in range(0, samples.size, BLOCK_SAMPLES):
        block = np.ascontiguousarray(samples[np.newaxis, start : start + BLOCK_SAMPLES])
        frame = AudioFrame.from_ndarray(block, format="s16", layout="mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, start
        yield frame
