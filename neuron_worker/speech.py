"""Find speech and cut it into windows of at most 30 s at silences."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime

from neuron_worker.cutting import FRAME_SAMPLES, SAMPLE_RATE, WINDOW_MAX_SECONDS, Cutter, Span

__all__ = ["SAMPLE_RATE", "WINDOW_MAX_SECONDS", "SpeechCutter", "SpeechDetector", "Window"]

CONTEXT_SAMPLES = 64
"""Silero VAD sees the 4 ms before each frame, too (silero_vad/sequence_vad.py)."""

STATE_SHAPE = (1, 1, 128)
"""Of each of the network's two states (silero_vad/sequence_vad.py)."""

FRAMES_PER_CALL = 512
"""16 s in one run of the network; between 256 and 1,000 frames it was measured fastest."""

Samples = npt.NDArray[np.float32]
"""Mono, 16 kHz."""


@dataclass(frozen=True, slots=True)
class Window:
    """A contiguous stretch of audio with speech in it, for one pass of the encoder.

    `samples` is mono float32 at 16 kHz; sample i was heard at `start_seconds + i / SAMPLE_RATE`.
    """

    start_seconds: float
    samples: Samples


class SpeechCutter:
    """Cuts one recording: use a new one for the next."""

    def __init__(self) -> None:
        self._detector = SpeechDetector()
        self._cutter = Cutter()

    @property
    def speech_seconds(self) -> float:
        """How much of the audio was speech; final once `windows` has ended."""
        return self._cutter.speech_frames * FRAME_SAMPLES / SAMPLE_RATE

    def windows(self, blocks: Iterable[Samples]) -> Iterator[Window]:
        """Windows in order, which never overlap, and hold every frame of speech between them.

        Holds at most a window's audio and what comes in with one run of the detector.
        """
        held, held_from = np.empty(0, np.float32), 0
        for samples in _runs(blocks):
            held = np.concatenate([held, samples])
            for probability in self._detector.probabilities(samples).tolist():
                for span in self._cutter.push(probability):
                    yield _window(span, held, held_from)
            needed_from = self._cutter.needed_from
            held = held[(needed_from - held_from) * FRAME_SAMPLES :]
            held_from = needed_from
        for span in self._cutter.finish():
            yield _window(span, held, held_from)


class SpeechDetector:
    """Silero VAD over one recording; its memory goes from one call to the next."""

    def __init__(self) -> None:
        self._session = _session()
        self._context = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._hidden = np.zeros(STATE_SHAPE, np.float32)
        self._cell = np.zeros(STATE_SHAPE, np.float32)

    def probabilities(self, samples: Samples) -> npt.NDArray[np.float32]:
        """How likely each next 32 ms are speech, shape (frames,).

        A last frame that is not full is filled with silence, so only the recording's last call
        may bring one.
        """
        count = -(-samples.size // FRAME_SAMPLES)
        frames = np.zeros((count, CONTEXT_SAMPLES + FRAME_SAMPLES), np.float32)
        padded = np.pad(samples, (0, count * FRAME_SAMPLES - samples.size))
        frames[:, CONTEXT_SAMPLES:] = padded.reshape(count, FRAME_SAMPLES)
        frames[0, :CONTEXT_SAMPLES] = self._context
        frames[1:, :CONTEXT_SAMPLES] = frames[:-1, -CONTEXT_SAMPLES:]
        self._context = frames[-1, -CONTEXT_SAMPLES:].copy()
        inputs = {"input": frames, "h": self._hidden, "c": self._cell}
        found, self._hidden, self._cell = self._session.run(["speech_probs", "hn", "cn"], inputs)
        probabilities: npt.NDArray[np.float32] = found.reshape(-1)
        return probabilities


def _runs(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """The same samples in runs of `FRAMES_PER_CALL` frames, and what is left at the end."""
    size = FRAMES_PER_CALL * FRAME_SAMPLES
    gathered: list[Samples] = []
    count = 0
    for block in blocks:
        gathered.append(block)
        count += block.size
        if count >= size:
            samples = np.concatenate(gathered)
            whole = count - count % size
            yield samples[:whole]
            gathered, count = [samples[whole:]], count - whole
    if count:
        yield np.concatenate(gathered)


def _window(span: Span, held: Samples, held_from: int) -> Window:
    first = (span.start - held_from) * FRAME_SAMPLES
    last = (span.end - held_from) * FRAME_SAMPLES
    return Window(span.start * FRAME_SAMPLES / SAMPLE_RATE, held[first:last].copy())


@cache
def _session() -> onnxruntime.InferenceSession:
    """The network that the silero-vad package ships, on one thread, where it is fastest.

    The package itself is not imported: it would import PyTorch.
    """
    package = find_spec("silero_vad")
    if package is None or package.origin is None:
        raise ModuleNotFoundError("silero-vad is not installed: pip install silero-vad")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        Path(package.origin).with_name("data") / "silero_vad_16k_sequence.onnx",
        sess_options=options,
        providers=["CPUExecutionProvider"],
    )
