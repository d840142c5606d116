"""Single sentences, cut out of the shipped recordings, and what the weakest model must hear."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from neuron_worker.audio import AudioReader
from neuron_worker.speech import SAMPLE_RATE
from tests.media import Samples, encoded

RECORDINGS = Path(__file__).parent / "recordings"


@dataclass(frozen=True, slots=True)
class Clip:
    """From one pause of a recording to the next, in seconds; `words` are those of its text."""

    recording: str
    start_seconds: float
    end_seconds: float
    words: str

    @property
    def name(self) -> str:
        """A file name that says what is in it."""
        return f"{self.words.replace(' ', '-')}.flac"

    def content(self) -> bytes:
        """The clip as a file of its own."""
        start, end = (
            int(seconds * SAMPLE_RATE) for seconds in (self.start_seconds, self.end_seconds)
        )
        return encoded(samples_of(self.recording)[:, start:end], "flac", "flac", SAMPLE_RATE)


CLIPS = (
    Clip("weather.mp3", 0.27, 2.49, "here is the weather for the coast"),
    Clip("weather.mp3", 10.93, 12.95, "later the sun will come through"),
    Clip("weather.mp3", 15.43, 17.45, "tomorrow looks different"),
    Clip("weather.mp3", 17.45, 19.80, "dark clouds will move in from the sea"),
    Clip("archive.opus", 18.38, 21.28, "reading is much faster than listening"),
    Clip("archive.opus", 27.33, 29.46, "a few tapes were broken"),
    Clip("archive.opus", 48.83, 51.12, "it shows you where to begin"),
    Clip("interview.m4a", 8.47, 10.20, "and what did you find"),
)


@cache
def samples_of(recording: str) -> Samples:
    """A shipped recording, mixed to one channel of 16 kHz: shape (1, samples)."""
    with (RECORDINGS / recording).open("rb") as file, AudioReader(file, max_seconds=600) as reader:
        return np.concatenate(list(reader.blocks()), axis=1)


def words_of(text: str) -> str:
    """Only its words, in lower case."""
    return " ".join(re.findall(r"[a-z']+", text.lower()))
