"""A request in hand: from the first window read to the transcript put together."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from neuron_worker.audio import AudioFacts
from neuron_worker.contract import Reason, Record, WorkItem
from neuron_worker.progress import Progress, WindowDone
from neuron_worker.speech import SpeechCutter
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

    def segments(self) -> tuple[Segment, ...]:
        """All that was said, in order; what two windows share is told once."""
        windows = [self.done[index] for index in sorted(self.done)]
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
    fingerprint: str = ""
    saved: Progress | None = None
    """What an earlier attempt had done."""
    tracks: list[Track] = field(default_factory=list)
    facts: AudioFacts | None = None
    failure: RequestFailed | None = None
    read: bool = False
    """Whether no more windows will come."""
    progress_saved_at: float = field(default_factory=time.monotonic)

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to do but to write the result down."""
        caught_up = all(len(track.done) == track.windows for track in self.tracks)
        return self.read and (self.failure is not None or caught_up)

    @property
    def seconds_done(self) -> float:
        """How far it is transcribed."""
        ends = (window.end_seconds for track in self.tracks for window in track.done.values())
        return max(ends, default=0.0)

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
            windows=tuple(
                track.done[index] for track in self.tracks for index in sorted(track.done)
            ),
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
            (segment, track) for track in self.tracks for segment in track.segments()
        ]
        for segment, track in sorted(texts, key=lambda text: text[0].start_seconds):
            yield replace(segment, channel=track.channel)
