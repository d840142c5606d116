"""What is saved of a long recording while it is transcribed, so that an interruption costs little.

The next attempt decodes and cuts the audio again, which is cheap and gives the same windows, and
skips those that are here: the transcript is the one that an undisturbed run would have written.
"""

import hashlib
import json

from neuron_worker.contract import WorkItem
from neuron_worker.contract.document import Document
from neuron_worker.transcript import Segment

FORMAT = 1
"""To be raised when windows are cut or decoded differently: older progress then means nothing."""


class WindowDone(Document):
    """One transcribed window of one track; `index` counts the track's windows.

    The language is the one that its track had by then: every channel elects its own.
    """

    track: int
    index: int
    language: str | None = None
    language_probability: float | None = None
    start_seconds: float
    end_seconds: float
    segments: tuple[Segment, ...]


class RangeDone(Document):
    """A range that is transcribed whole; it ends at 0 where the recording is over before it."""

    start_seconds: float
    end_seconds: float
    speech_seconds: float
    tracks: int
    warnings: tuple[str, ...] = ()


class Progress(Document):
    """The windows of one request, or of its range, that are transcribed, whoever did it.

    Of a range, `openings` are the windows of each track that were heard for their language only:
    the first of the recording. They count, but are not here.
    """

    request_id: str
    fingerprint: str
    windows: tuple[WindowDone, ...] = ()
    openings: tuple[int, ...] = ()
    range_done: RangeDone | None = None


def fingerprint(item: WorkItem, audio_etag: str, model_revision: str) -> str:
    """Names all that the windows depend on: the same audio, options and model make the same."""
    parts = {
        "format": FORMAT,
        "audio": item.audio,
        "etag": audio_etag,
        "options": item.options.model_dump(mode="json"),
        "model": model_revision,
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
