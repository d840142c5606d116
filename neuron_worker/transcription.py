"""Transcription: one request's audio in, its transcript out."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from neuron_worker.audio import AudioError, AudioReader
from neuron_worker.contract import Reason, S3Uri, TimestampLevel, WorkItem
from neuron_worker.speech import SpeechCutter
from neuron_worker.store import Store, StoreError
from neuron_worker.transcript import Segment, Transcript
from neuron_worker.whisper.errors import UnsupportedOption
from neuron_worker.whisper.transcriber import Transcriber

log = structlog.get_logger()

Progress = Callable[[float, float | None], None]
"""Takes the seconds of audio done and the seconds there are, if they are known."""


class Interrupted(Exception):
    """The worker was told to stop while the request was in hand."""


class RequestFailed(Exception):
    """{detail}"""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return self.detail

    @classmethod
    @contextmanager
    def from_store_errors(cls) -> Iterator[None]:
        """Inside the block, S3's failures are the request's."""
        try:
            yield
        except StoreError as error:
            raise cls(error.reason, str(error)) from error


class Transcription:
    """A model and the way to it from an object in S3."""

    def __init__(self, store: Store, transcriber: Transcriber, audio_max_seconds: float) -> None:
        self._store = store
        self._transcriber = transcriber
        self._audio_max_seconds = audio_max_seconds

    def transcribe(
        self, item: WorkItem, progress: Progress, stopping: threading.Event
    ) -> Transcript:
        """Transcribe one request.

        Raises `RequestFailed` with the reason, and `Interrupted` between two batches of windows
        once `stopping` is set.
        """
        try:
            with RequestFailed.from_store_errors():
                return self._transcribe(item, progress, stopping)
        except (RequestFailed, Interrupted):
            raise
        except AudioError as error:
            raise RequestFailed(error.reason, f"{item.audio}: {error}") from error
        except UnsupportedOption as error:
            raise RequestFailed(Reason.UNSUPPORTED_OPTION, str(error)) from error
        except Exception as error:
            log.exception("internal_error")
            raise RequestFailed(
                Reason.INTERNAL_ERROR, f"{item.audio}: {type(error).__name__}: {error}"
            ) from error

    def _transcribe(
        self, item: WorkItem, progress: Progress, stopping: threading.Event
    ) -> Transcript:
        self._transcriber.check(item.options)
        segments: list[Segment] = []
        language: str | None = None
        cutter = SpeechCutter()
        with (
            self._store.open(S3Uri.parse(item.audio), item.audio_version) as file,
            AudioReader(file, max_seconds=self._audio_max_seconds) as reader,
        ):
            windows = cutter.windows(reader.blocks())
            for window in self._transcriber.transcribe(windows, item.options):
                segments += window.segments
                language = window.language
                done = window.window_start_seconds + window.window_seconds
                progress(done, reader.facts.container_seconds)
                if stopping.is_set():
                    raise Interrupted
            facts = reader.facts
        return Transcript(
            request_id=item.request_id,
            audio=item.audio,
            model=self._transcriber.model_name,
            task=item.options.task,
            language=language or item.options.language,
            audio_seconds=facts.seconds,
            speech_seconds=cutter.speech_seconds,
            segments=tuple(segments),
            warnings=(*facts.warnings, *_unmet(item)),
            metadata=item.metadata,
        )


def _unmet(item: WorkItem) -> tuple[str, ...]:
    if item.options.timestamps is TimestampLevel.WORD:
        return ("word times are not available with this model's graphs: segment times are given",)
    return ()
