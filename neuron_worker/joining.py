"""Joining: what the workers of one recording's ranges tell each other, by way of the ledger.

Each saves its own range first and looks for the others' afterwards, so that of those who come last,
at least one finds all of them. Two may: they write the same transcript.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from neuron_worker.contract import Ledger, S3Uri, WorkItem
from neuron_worker.in_hand import RequestInHand, told_once
from neuron_worker.progress import Progress, WindowDone
from neuron_worker.ranges import Cut
from neuron_worker.store import ChangedMeanwhile, Store, StoreError
from neuron_worker.transcript import Segment, Transcript

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Ranges:
    """The ranges of recordings in the ledger. Raises `StoreError` where it is out of reach."""

    store: Store
    ledger: Ledger

    def agree(
        self, request: RequestInHand, number: int, end_seconds: float, start_seconds: float
    ) -> tuple[float, float]:
        """Where the range before `number` ends and it begins: as given, if nobody was sooner."""
        item = request.item
        mine = Cut(
            fingerprint=request.fingerprint, end_seconds=end_seconds, start_seconds=start_seconds
        )
        uri = self._cut(item, number)
        while True:
            found = self.store.get(uri)
            if found and (cut := _read_cut(found[0])) and cut.fingerprint == mine.fingerprint:
                return cut.end_seconds, cut.start_seconds
            try:
                self.store.put_unchanged(uri, mine.to_json(), found[1] if found else None)
            except ChangedMeanwhile:
                continue
            return end_seconds, start_seconds

    def all_done(self, item: WorkItem, fingerprint: str) -> list[Progress] | None:
        """The ranges of a recording, in order; None unless all of them are transcribed."""
        parts = []
        for number in range(_count(item)):
            found = self.store.get(self._range(item, number))
            part = read_progress(found[0], item) if found else None
            if part is None or part.fingerprint != fingerprint or part.range_done is None:
                return None
            parts.append(part)
        return parts

    def forget(self, item: WorkItem) -> None:
        """Delete what was saved of a recording that is done."""
        places = [self._range(item, number) for number in range(_count(item))]
        places += [self._cut(item, number) for number in range(1, _count(item))]
        try:
            for uri in places:
                self.store.delete(uri)
        except StoreError as error:
            log.warning("ranges_not_deleted", cause=str(error))

    def _range(self, item: WorkItem, number: int) -> S3Uri:
        return self.ledger.range(item.request_id, number, _count(item))

    def _cut(self, item: WorkItem, number: int) -> S3Uri:
        return self.ledger.cut(item.request_id, number, _count(item))


def read_progress(content: bytes, item: WorkItem) -> Progress | None:
    """What was saved; None where it is of no use."""
    try:
        return Progress.from_json(content)
    except ValueError as error:
        log.warning("progress_unreadable", request_id=item.request_id, cause=str(error))
        return None


def joined(item: WorkItem, parts: Sequence[Progress], model: str) -> Transcript:
    """The transcript of a recording whose ranges are all done."""
    done = [part.range_done for part in parts if part.range_done is not None]
    count = max(one.tracks for one in done)
    tracks = [
        [window for part in parts for window in part.windows if window.track == number]
        for number in range(count)
    ]
    segments = [
        replace(segment, channel=number + 1 if count > 1 else None)
        for number, windows in enumerate(tracks)
        for segment in told_once(windows)
    ]
    heard: WindowDone | None = next((windows[0] for windows in tracks if windows), None)
    return Transcript(
        request_id=item.request_id,
        audio=item.audio,
        model=model,
        task=item.options.task,
        language=heard.language if heard else item.options.language,
        language_probability=heard.language_probability if heard else None,
        audio_seconds=max(one.end_seconds for one in done),
        speech_seconds=sum(one.speech_seconds for one in done),
        segments=tuple(sorted(segments, key=_begin)),
        warnings=tuple(
            f"{one.start_seconds:.0f} to {one.end_seconds:.0f} s: {warning}"
            for one in done
            for warning in one.warnings
        ),
        metadata=item.metadata,
    )


def _count(item: WorkItem) -> int:
    """Into how many ranges its recording is cut."""
    return item.range.count if item.range else 0


def _begin(segment: Segment) -> float:
    return segment.start_seconds


def _read_cut(content: bytes) -> Cut | None:
    try:
        return Cut.from_json(content)
    except ValueError:
        return None
