"""What was said, when: the result of one request before it is written in any format."""

from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import JsonValue


class Doubt(StrEnum):
    """Why a segment may not have been said: it is kept, and a reader can decide."""

    REPETITION = "repetition"
    """The same words over and over."""
    KNOWN_HALLUCINATION = "known_hallucination"
    """A sentence that Whisper writes over silence and music."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its times, in seconds from the start of the audio."""

    start_seconds: float
    end_seconds: float
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech with its text; times in seconds from the start of the audio."""

    start_seconds: float
    end_seconds: float
    text: str
    average_log_probability: float
    no_speech_probability: float
    compression_ratio: float = 1.0
    temperature: float = 0.0
    doubts: tuple[Doubt, ...] = ()
    channel: int | None = None
    """Counted from 1, where channels are transcribed for themselves."""
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything the transcript files of one request are made from."""

    request_id: str
    audio: str
    model: str
    task: str
    language: str | None
    language_probability: float | None
    audio_seconds: float
    speech_seconds: float
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...] = ()
    metadata: dict[str, JsonValue] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole transcript as one line of text."""
        return " ".join(filter(None, (segment.text.strip() for segment in self.segments)))
