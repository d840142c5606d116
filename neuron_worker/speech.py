"""Find speech and cut it into windows of at most 30 s at silences."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from neuron_worker.cutting import FRAME_SAMPLES, SAMPLE_RATE, WINDOW_MAX_SECONDS, Cutter, Span

__all__ = [
    "SAMPLE_RATE",
    "WINDOW_MAX_SECONDS",
    "SpeechCutter",
    "SpeechDetector",
    "Stretch",
    "Window",
]

CONTEXT_SAMPLES = 64
"""Silero VAD sees the 4 ms before each frame, too (silero_vad/sequence_vad.py)."""

STATE_SHAPE = (1, 1, 128)
"""Of each of the network's two states (silero_vad/sequence_vad.py)."""

RUN_SAMPLES = 512 * FRAME_SAMPLES
"""16 s in one run of the network; between 256 and 1,000 frames it was measured fastest."""

LEVEL_WANTED = 0.1
"""The level, as a root mean square, at which the network hears each frame …"""

GAIN_MAX = 30.0
"""… unless it is silence: this lifts a whisper at -50 dB, and leaves the noise of a good line."""

LEVEL_MEMORY_SECONDS = 1.0
"""How soon the level forgets loud speech.

Without it the network takes a quiet voice after a loud one for silence. Measured on 9 s of clear
speech 28 dB below the recording before it: their mean probability of speech is 0.02 without, and
0.88, 0.71 and 0.18 with a memory of 1, 3 and 10 s; on noise at -60 to -20 dB it stays 0.
"""

LEVEL_DECAY = math.exp(-FRAME_SAMPLES / SAMPLE_RATE / LEVEL_MEMORY_SECONDS)
"""What is left of the level after one frame."""

Samples = npt.NDArray[np.float32]
"""Mono, 16 kHz."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From one second of the audio to another."""

    start_seconds: float
    end_seconds: float

    @property
    def seconds(self) -> float:
        """How long it is; negative where it ends before it starts."""
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True, slots=True)
class Window:
    """A contiguous stretch of audio with speech in it, for one pass of the encoder.

    `samples` is mono float32 at 16 kHz; sample i was heard at `start_seconds + i / SAMPLE_RATE`.
    `speech` are the stretches of it that the detector takes for speech, in seconds from the start
    of the audio.
    """

    start_seconds: float
    samples: Samples
    speech: tuple[Stretch, ...] = ()

    @property
    def end_seconds(self) -> float:
        """Where it ends, from the start of the audio."""
        return self.start_seconds + self.samples.size / SAMPLE_RATE

    def part(self, stretch: Stretch) -> "Window":
        """What of it lies in a stretch."""
        first = max(0, round((stretch.start_seconds - self.start_seconds) * SAMPLE_RATE))
        last = max(first, round((stretch.end_seconds - self.start_seconds) * SAMPLE_RATE))
        inside = (
            Stretch(
                max(speech.start_seconds, stretch.start_seconds),
                min(speech.end_seconds, stretch.end_seconds),
            )
            for speech in self.speech
        )
        return Window(
            self.start_seconds + first / SAMPLE_RATE,
            self.samples[first:last],
            tuple(speech for speech in inside if speech.seconds > 0),
        )


class SpeechCutter:
    """Cuts one recording, or what begins at `start_seconds` of it: use a new one for the next."""

    def __init__(self, start_seconds: float = 0.0) -> None:
        self._start_seconds = start_seconds
        self._detector = SpeechDetector()
        self._cutter = Cutter()
        self._gathered: list[Samples] = []
        self._held, self._held_from = np.empty(0, np.float32), 0

    @property
    def speech_seconds(self) -> float:
        """How much of the audio was speech; final once it is finished."""
        return _seconds(self._cutter.speech_frames)

    def push(self, samples: Samples) -> Iterator[Window]:
        """Take in the next samples of the recording; yields the windows that became certain.

        Windows come in order and hold every frame of speech between them. Two of them overlap only
        where nobody pauses for as long as a window lasts. Holds at most a window's audio and what
        goes into one run of the detector.
        """
        self._gathered.append(samples)
        count = sum(part.size for part in self._gathered)
        if count >= RUN_SAMPLES:
            gathered = np.concatenate(self._gathered)
            whole = count - count % RUN_SAMPLES
            self._gathered = [gathered[whole:]]
            yield from self._detect(gathered[:whole])

    def finish(self) -> Iterator[Window]:
        """The recording has ended; yields the windows that are left."""
        if rest := [part for part in self._gathered if part.size]:
            self._gathered = []
            yield from self._detect(np.concatenate(rest))
        for span in self._cutter.finish():
            yield self._window(span)

    def _detect(self, samples: Samples) -> Iterator[Window]:
        self._held = np.concatenate([self._held, samples])
        for probability in self._detector.probabilities(samples).tolist():
            for span in self._cutter.push(probability):
                yield self._window(span)
        needed_from = self._cutter.needed_from
        self._held = self._held[(needed_from - self._held_from) * FRAME_SAMPLES :]
        self._held_from = needed_from

    def _window(self, span: Span) -> Window:
        first = (span.start - self._held_from) * FRAME_SAMPLES
        last = (span.end - self._held_from) * FRAME_SAMPLES
        samples = self._held[first:last].copy()
        start_seconds = self._start_seconds + _seconds(span.start)
        # The audio's last frame may not be full.
        end_seconds = start_seconds + samples.size / SAMPLE_RATE
        speech = (
            Stretch(
                self._start_seconds + _seconds(part.start),
                min(self._start_seconds + _seconds(part.end), end_seconds),
            )
            for part in span.speech
        )
        return Window(start_seconds, samples, tuple(speech))


class SpeechDetector:
    """Silero VAD over one recording; its memory goes from one call to the next."""

    def __init__(self) -> None:
        self._session = _session()
        self._context = np.zeros(CONTEXT_SAMPLES, np.float32)
        self._hidden = np.zeros(STATE_SHAPE, np.float32)
        self._cell = np.zeros(STATE_SHAPE, np.float32)
        self._level = 0.0

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
        frames *= self._gains(frames[:, CONTEXT_SAMPLES:])[:, np.newaxis]
        inputs = {"input": frames, "h": self._hidden, "c": self._cell}
        found, self._hidden, self._cell = self._session.run(["speech_probs", "hn", "cn"], inputs)
        probabilities: npt.NDArray[np.float32] = found.reshape(-1)
        return probabilities

    def _gains(self, frames: Samples) -> Samples:
        """What brings each frame to the wanted level, going by the loudest just before it."""
        gains = np.empty(len(frames), np.float32)
        for index, level in enumerate(np.sqrt(np.square(frames).mean(axis=1)).tolist()):
            self._level = max(level, self._level * LEVEL_DECAY)
            gains[index] = LEVEL_WANTED / max(self._level, LEVEL_WANTED / GAIN_MAX)
        return gains


def _seconds(frame: int) -> float:
    return frame * FRAME_SAMPLES / SAMPLE_RATE


@cache
def _session() -> Any:
    """The network that the silero-vad package ships, on one thread, where it is fastest.

    The package itself is not imported: it would import PyTorch. ONNX Runtime sends records of its
    use to Microsoft unless it is told not to before it begins (Privacy.md of its package).
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    import onnxruntime

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
