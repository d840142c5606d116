"""What was said, when: the result of one request before it is written in any format."""

from dataclasses import dataclass, field

from pydantic import JsonValue


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
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything the transcript files of one request are made from."""

    request_id: str
    audio: str
    model: str
    task: str
    language: str | None
    audio_seconds: float
    speech_seconds: float
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...] = ()
    metadata: dict[str, JsonValue] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The whole transcript as one line of text."""
        return " ".join(filter(None, (segment.text.strip() for segment in self.segments)))
