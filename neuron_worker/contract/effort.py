"""What a request took of its worker."""

from enum import StrEnum

from pydantic import Field

from neuron_worker.contract.document import Document


class Stage(StrEnum):
    """A part of the work on a request. They overlap: reading runs beside Whisper."""

    READ = "read"
    """Download, decode, find speech and make spectrograms."""
    ENCODE = "encode"
    DECODE = "decode"
    ALIGN = "align"
    """Find the times of words."""
    WRITE = "write"
    """Write transcripts and saved progress; of the last range to be done, join them."""


class Effort(Document):
    """What a request, or its range, took of the worker that ended it; not of interrupted ones.

    What windows of several requests share is split evenly among the windows.
    """

    read_seconds: float = Field(default=0.0, ge=0)
    encode_seconds: float = Field(default=0.0, ge=0)
    decode_seconds: float = Field(default=0.0, ge=0)
    align_seconds: float = Field(default=0.0, ge=0)
    write_seconds: float = Field(default=0.0, ge=0)
    windows: int = Field(default=0, ge=0, description="Windows that were transcribed.")
    tokens: int = Field(default=0, ge=0, description="Tokens that the decoder chose, in all tries.")
    fallbacks: int = Field(
        default=0, ge=0, description="Times that a window was decoded again, hotter."
    )
    peak_memory_bytes: int = Field(
        default=0,
        ge=0,
        description="The most that the worker's process had held by then, since it began. The "
        "decoder's process is not counted.",
    )

    def seconds_in(self, stage: Stage) -> float:
        """How long a stage took."""
        seconds: float = getattr(self, f"{stage}_seconds")
        return seconds
