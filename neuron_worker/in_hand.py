"""A request in hand: from the first window read to the transcript put together."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from neuron_worker.audio import AudioFacts
from neuron_worker.contract import Reason, Record, WorkItem
from neuron_worker.meter import Meter
from neuron_worker.progress import Progress, RangeDone, WindowDone
from neuron_worker.speech import SpeechCutter, Window
from neuron_worker.transcript import Segment, Transcript
from neuron_worker.whisper.overlap import cut_overlap
from neuron_worker.whisper.transcriber import Recording, WindowTranscript

SHARED_MIN_SECONDS = 0.01
"""Windows share whole frames of 32 ms; times that cross by less than this were only rounded."""


class RequestFailed(Exception):
    """{detail}"""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return self.detail


@dataclass(eq=False, slots=True)
class Track:
    """One voice of a recording: the mix of its channels, or one of them."""

    number: int
    channel: int | None
    recording: Recording
    cutter: SpeechCutter = field(default_factory=SpeechCutter)
    windows: int = 0
    """How many were cut so far."""
    opening: int = 0
    """How many of them come before its range, and are heard for their language only …"""
    heard_before: int = 0
    """… and how many of these, all or none, an earlier attempt has heard."""
    ahead: Window | None = None
    """The window cut last: it waits until it is known whether it is the last one of all."""
    done: dict[int, WindowDone] = field(default_factory=dict)

    def take(self, result: WindowTranscript) -> None:
        """A window is transcribed."""
        self.done[result.index] = WindowDone(
            track=self.number,
            index=result.index,
            language=self.recording.language,
            language_probability=self.recording.language_probability,
            start_seconds=result.window.start_seconds,
            end_seconds=result.window.end_seconds,
            segments=result.segments,
        )

    @property
    def lacks_votes(self) -> bool:
        """Whether its language must be heard from more windows."""
        recording = self.recording
        return recording.language is None and self.windows < recording.ballot.seats

    @property
    def caught_up(self) -> bool:
        """Whether all that was cut is transcribed."""
        return len(self.done) == self.windows - self.heard_before

    def kept(self) -> list[WindowDone]:
        """What is transcribed of it, in order."""
        return [self.done[index] for index in sorted(self.done) if index >= self.opening]


def told_once(windows: Sequence[WindowDone]) -> tuple[Segment, ...]:
    """All that was said in one track's windows, in order; what two of them share is told once."""
    texts = [window.segments for window in windows]
    for index, (before, after) in enumerate(pairwise(windows)):
        if before.end_seconds - after.start_seconds > SHARED_MIN_SECONDS:
            texts[index], texts[index + 1] = cut_overlap(
                texts[index], texts[index + 1], after.start_seconds, before.end_seconds
            )
    return tuple(segment for text in texts for segment in text)


@dataclass(eq=False, slots=True)
class RequestInHand:
    """One request on its way through the worker.

    One thread reads it and cuts its windows, another has them transcribed; it is complete when
    the first is through and the second has caught up.
    """

    item: WorkItem
    record: Record | None
    record_etag: str | None
    started: float = field(default_factory=time.monotonic)
    meter: Meter = field(default_factory=Meter)
    fingerprint: str = ""
    saved: Progress | None = None
    """What an earlier attempt had done."""
    tracks: list[Track] = field(default_factory=list)
    facts: AudioFacts | None = None
    failure: RequestFailed | None = None
    read: bool = False
    """Whether no more windows will come."""
    range_done: RangeDone | None = None
    """What its range was, once it is read."""
    progress_saved_at: float = field(default_factory=time.monotonic)

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to do but to write the result down."""
        caught_up = all(track.caught_up for track in self.tracks)
        return self.read and (self.failure is not None or caught_up)

    @property
    def seconds_done(self) -> float:
        """How far it is transcribed; a range counts from its own beginning."""
        windows = [window for track in self.tracks for window in track.kept()]
        begins_at = min((one.start_seconds for one in windows), default=0.0)
        ends_at = max((one.end_seconds for one in windows), default=0.0)
        return ends_at - begins_at if self.item.range else ends_at

    def fail(self, failure: RequestFailed) -> None:
        """Its windows need not be transcribed any more."""
        self.failure = failure
        for track in self.tracks:
            track.recording.abandoned = True

    def progress(self) -> Progress:
        """What to save, so that another attempt can go on from here."""
        return Progress(
            request_id=self.item.request_id,
            fingerprint=self.fingerprint,
            windows=tuple(window for track in self.tracks for window in track.kept()),
            openings=tuple(track.opening for track in self.tracks) if self.item.range else (),
            range_done=self.range_done if self.complete else None,
        )

    def transcript(self, model: str) -> Transcript:
        """The whole of it. ValueError unless it was read to its end."""
        if self.facts is None:
            raise ValueError(f"nothing is known of {self.item.audio}")
        heard = next((track.recording for track in self.tracks if track.windows), None)
        return Transcript(
            request_id=self.item.request_id,
            audio=self.item.audio,
            model=model,
            task=self.item.options.task,
            language=heard.language if heard else self.item.options.language,
            language_probability=heard.language_probability if heard else None,
            audio_seconds=self.facts.seconds,
            speech_seconds=sum(track.cutter.speech_seconds for track in self.tracks),
            segments=tuple(self._segments()),
            warnings=self.facts.warnings,
            metadata=self.item.metadata,
        )

    def _segments(self) -> Iterator[Segment]:
        texts: Sequence[tuple[Segment, Track]] = [
            (segment, track) for track in self.tracks for segment in told_once(track.kept())
        ]
        for segment, track in sorted(texts, key=lambda text: text[0].start_seconds):
            yield replace(segment, channel=track.channel)
