"""How one request wants its audio transcribed."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from neuron_worker.contract.document import Document


class Task(StrEnum):
    """What Whisper does with the speech."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"


class TimestampLevel(StrEnum):
    """How fine the times in the transcript are."""

    SEGMENT = "segment"
    WORD = "word"


class Channels(StrEnum):
    """What becomes of a recording's channels."""

    MIX = "mix"
    SEPARATE = "separate"


class TranscriptFormat(StrEnum):
    """A file format that a transcript is written in; its value is the file's extension."""

    TXT = "txt"
    JSON = "json"
    SRT = "srt"
    VTT = "vtt"
    TSV = "tsv"


LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}$", examples=["en", "de", "yue"])]
"""A language as Whisper names it: two letters, three for Hawaiian and Cantonese."""

PROMPT_MAX_CHARACTERS = 1_000
"""Whisper's context leaves room for 223 tokens of prompt; longer text could never be used."""

HOTWORDS_MAX = 50
"""With more, little of Whisper's 223 tokens would be left for the text before."""

HotWord = Annotated[str, Field(min_length=1, max_length=60)]
"""A name or a term."""


class Options(Document):
    """The part of a request that shapes its transcript."""

    language: LanguageCode | None = Field(
        default=None, description="Language of the speech; detected when absent."
    )
    task: Task = Field(
        default=Task.TRANSCRIBE, description="Write the spoken language, or translate to English."
    )
    formats: tuple[TranscriptFormat, ...] = Field(
        default=(TranscriptFormat.JSON, TranscriptFormat.TXT),
        min_length=1,
        max_length=len(TranscriptFormat),
        description="The files to write, one per format.",
    )
    timestamps: TimestampLevel = Field(
        default=TimestampLevel.SEGMENT, description="How fine the times in the transcript are."
    )
    prompt: str | None = Field(
        default=None,
        max_length=PROMPT_MAX_CHARACTERS,
        description="Text in the style and with the names to expect; never part of the transcript.",
    )
    hotwords: tuple[HotWord, ...] = Field(
        default=(),
        max_length=HOTWORDS_MAX,
        description="Names and terms to expect; unlike a prompt, they stay in view when "
        "condition_on_previous fills the context.",
    )
    condition_on_previous: bool = Field(
        default=False,
        description="Show each window the text before it: steadier names and style, but an error "
        "can carry on, and the windows of the recording wait for each other.",
    )
    channels: Channels = Field(
        default=Channels.MIX,
        description="Mix all channels, or transcribe each for itself, as for telephone calls.",
    )
