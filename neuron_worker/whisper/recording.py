"""What goes into the transcriber and comes out: recordings, their windows, and what they say."""

from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor

from neuron_worker.contract import Options
from neuron_worker.meter import Meter
from neuron_worker.speech import Window
from neuron_worker.transcript import Segment
from neuron_worker.whisper.ballot import Ballot


@dataclass(eq=False, slots=True, kw_only=True)
class Recording:
    """One recording as the transcriber sees it: what is asked, and what its windows share."""

    options: Options
    language: str | None
    language_probability: float | None = None
    hotwords: tuple[int, ...] = ()
    previous: tuple[int, ...]
    """Tokens of text to go before its next window's transcript."""
    abandoned: bool = False
    """Whether its windows need not be transcribed any more."""
    ballot: Ballot
    windows: int | None = None
    """How many it has, once its last one is here."""
    in_rows: int = 0
    meter: Meter = field(default_factory=Meter)
    """Counts what it takes, and the other channels of its file."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A window of a recording, ready to be heard; `last` says that no other follows."""

    recording: Recording
    index: int
    window: Window
    mel: Tensor
    last: bool


class Source(Protocol):
    """Where the next window comes from."""

    def take(self, *, wait: bool) -> Utterance | None:
        """The next window; None when there is none now, or, having waited, none any more."""

    @property
    def overdue(self) -> bool:
        """Whether windows under way are to be put down."""


@dataclass(frozen=True, slots=True)
class WindowTranscript:
    """What was said in one window; the segments' times count from the start of the audio."""

    recording: Recording
    index: int
    window: Window
    segments: tuple[Segment, ...]
