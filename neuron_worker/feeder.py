"""The feeder: reads the shard's recordings ahead of Whisper and hands over their windows.

Downloading, decoding, finding speech and making spectrograms happen in its thread (and in the
decoder's process), while Whisper works on the windows before. It may be as far ahead as its queue
is long, across recordings, so that memory stays bounded however long they are.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from queue import Empty, Full, Queue
from typing import Self

import structlog

from neuron_worker.audio import AudioError, Decoder
from neuron_worker.audio import Recording as Audio
from neuron_worker.audio.blocks import Block
from neuron_worker.contract import Channels, Range, Reason, S3Uri, Stage
from neuron_worker.in_hand import RequestFailed, RequestInHand, Track
from neuron_worker.meter import timed
from neuron_worker.progress import Progress, RangeDone, fingerprint
from neuron_worker.ranges import Bounds, RangeReader
from neuron_worker.speech import SpeechCutter, Window
from neuron_worker.stop import Stop
from neuron_worker.store import Store, StoreError
from neuron_worker.whisper.transcriber import (
    Recording,
    Transcriber,
    UnsupportedOption,
    Utterance,
)

log = structlog.get_logger()

BATCHES_AHEAD = 2
"""Windows wait for at most this many batches: 30 s of samples and a spectrogram are 3 to 4 MB."""

POLL_SECONDS = 0.2
"""How soon a thread that waits for the other one notices that it is told to stop."""


Agree = Callable[[RequestInHand, int, float, float], tuple[float, float]]
"""Asked where a range begins; see `ranges.RangeReader`."""


class Stopped(Exception):
    """The worker was told to stop."""


class Feeder:
    """A thread that reads requests, and the source of windows that Whisper takes from.

    `whole` is called, in Whisper's thread, with each request of which no more windows will come.
    """

    def __init__(
        self,
        *,
        store: Store,
        transcriber: Transcriber,
        requests: Iterator[RequestInHand],
        progress: Callable[[RequestInHand], Progress | None],
        agree: Agree = lambda _, __, end_seconds, start_seconds: (end_seconds, start_seconds),
        audio_max_seconds: float,
        whole: Callable[[RequestInHand], None],
        stop: Stop,
    ) -> None:
        self._store = store
        self._transcriber = transcriber
        self._requests = requests
        self._progress = progress
        self._agree = agree
        self._audio_max_seconds = audio_max_seconds
        self._whole = whole
        self._stop = stop
        self._owners: dict[Recording, tuple[RequestInHand, Track]] = {}
        self._queue: Queue[Utterance | RequestInHand | BaseException | None] = Queue(
            BATCHES_AHEAD * transcriber.batch_size
        )
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._thread.join()

    def owner(self, recording: Recording) -> tuple[RequestInHand, Track]:
        """Whose windows these are."""
        return self._owners[recording]

    def take(self, *, wait: bool) -> Utterance | None:
        """See `transcriber.Source`; raises what ended the thread."""
        while not self._stop.requested.is_set():
            try:
                came = self._queue.get(block=wait, timeout=POLL_SECONDS)
            except Empty:
                if wait:
                    continue
                return None
            if isinstance(came, Utterance):
                return came
            if isinstance(came, RequestInHand):
                came.read = True
                self._whole(came)
                continue
            self._queue.put(came)
            if came is not None:
                raise came
            return None
        return None

    @property
    def overdue(self) -> bool:
        """See `transcriber.Source`."""
        return self._stop.overdue

    def _run(self) -> None:
        end: BaseException | None = None
        try:
            with Decoder() as decoder:
                for request in self._requests:
                    self._feed(request, decoder)
        except Stopped:
            pass
        except BaseException as failure:
            end = failure
        self._put(end, at_the_end=True)

    def _feed(self, request: RequestInHand, decoder: Decoder) -> None:
        """Put all windows of a request into the queue, then the request itself."""
        item = request.item
        try:
            with timed(Stage.READ, request.meter):
                self._read(request, decoder)
        except RequestFailed as failure:
            request.fail(failure)
        except StoreError as error:
            request.fail(RequestFailed(error.reason, str(error)))
        except AudioError as error:
            request.fail(RequestFailed(error.reason, f"{item.audio}: {error}"))
        except UnsupportedOption as error:
            request.fail(RequestFailed(Reason.UNSUPPORTED_OPTION, str(error)))
        except Stopped:
            raise
        except Exception as error:
            log.exception("internal_error", request_id=item.request_id)
            detail = f"{item.audio}: {type(error).__name__}: {error}"
            request.fail(RequestFailed(Reason.INTERNAL_ERROR, detail))
        self._put(request)

    def _read(self, request: RequestInHand, decoder: Decoder) -> None:
        item = request.item
        self._transcriber.check(item.options)
        with self._store.open(S3Uri.parse(item.audio), item.audio_version) as file:
            request.fingerprint = fingerprint(item, file.etag, self._transcriber.revision)
            saved = self._progress(request)
            if saved and saved.fingerprint == request.fingerprint:
                request.saved = saved
                log.info("request_resumed", windows=len(saved.windows), request_id=item.request_id)
            opened = partial(
                decoder.open,
                file,
                max_seconds=self._audio_max_seconds,
                separate_channels=item.options.channels is Channels.SEPARATE,
            )
            if item.range is None:
                with opened() as audio:
                    request.facts = audio.facts
                    self._cut(request, audio.blocks())
                    request.facts = audio.facts
            elif request.saved is None or request.saved.range_done is None:
                self._read_range(request, item.range, opened)

    def _read_range(
        self,
        request: RequestInHand,
        part: Range,
        opened: Callable[..., AbstractContextManager[Audio]],
    ) -> None:
        with opened() as audio:
            request.facts = audio.facts
            bounds = Bounds.of(part, audio.facts.container_seconds)
            if not bounds.read_from:
                self._read_between(request, part, bounds, audio)
                return
            self._open(request, bounds.begins_near, audio)
        with opened(start_seconds=bounds.read_from) as audio:
            self._read_between(request, part, bounds, audio)

    def _open(self, request: RequestInHand, until_seconds: float, audio: Audio) -> None:
        """Have the recording's first windows heard: a range speaks the language that they do."""
        for block in audio.blocks():
            request.tracks = request.tracks or self._tracks(request, len(block))
            wanting = [track for track in request.tracks if track.lacks_votes]
            if not wanting or audio.facts.seconds > until_seconds:
                break
            for track, samples in zip(request.tracks, block, strict=True):
                for window in track.cutter.push(samples) if track in wanting else ():
                    if track.lacks_votes and window.end_seconds <= until_seconds:
                        self._hand_over(track, window)
                        track.opening = track.windows

    def _read_between(
        self, request: RequestInHand, part: Range, bounds: Bounds, audio: Audio
    ) -> None:
        reader = RangeReader(audio, part, bounds, partial(self._agree, request))
        self._cut(request, reader.blocks(), lambda: reader.begins_at)
        request.facts = audio.facts
        request.range_done = RangeDone(
            start_seconds=reader.begins_at,
            end_seconds=reader.ends_at,
            speech_seconds=sum(track.cutter.speech_seconds for track in request.tracks),
            tracks=len(request.tracks),
            warnings=audio.facts.warnings,
        )

    def _cut(
        self,
        request: RequestInHand,
        blocks: Iterator[Block],
        begins_at: Callable[[], float] = lambda: 0.0,
    ) -> None:
        """Cut windows, and hand over each once the next one, or the end, is there."""
        for number, block in enumerate(blocks):
            request.tracks = request.tracks or self._tracks(request, len(block))
            for track, samples in zip(request.tracks, block, strict=True):
                if number == 0:
                    track.cutter = SpeechCutter(begins_at())
                for window in track.cutter.push(samples):
                    self._hand_over(track, window)
        for track in request.tracks:
            for window in track.cutter.finish():
                self._hand_over(track, window)
            self._hand_over(track, None)

    def _tracks(self, request: RequestInHand, count: int) -> list[Track]:
        """One for the mix or for a mono recording, else one for each channel."""
        tracks = []
        for number in range(count):
            recording = self._transcriber.begin(request.item.options, request.meter)
            channel = number + 1 if count > 1 else None
            track = Track(number, channel, recording, SpeechCutter())
            if saved := request.saved:
                done = [window for window in saved.windows if window.track == number]
                track.done = {window.index: window for window in done}
                if done:
                    if saved.openings:
                        track.windows = track.opening = saved.openings[number]
                        track.heard_before = track.opening
                    language, probability = done[0].language, done[0].language_probability
                    texts = [window.segments for window in done]
                    self._transcriber.resume(recording, language, probability, texts)
            self._owners[recording] = (request, track)
            tracks.append(track)
        return tracks

    def _hand_over(self, track: Track, window: Window | None) -> None:
        """Put the window before this one into the queue, unless it was transcribed before.

        It is the last one if none comes after it.
        """
        ready, track.ahead = track.ahead, window
        if window is not None:
            track.windows += 1
        if ready is None:
            return
        index, last = track.windows - (1 if window is None else 2), window is None
        if index not in track.done:
            utterance = self._transcriber.utterance(track.recording, index, ready, last=last)
            with track.recording.meter.paused(Stage.READ):
                self._put(utterance)

    def _put(
        self, what: Utterance | RequestInHand | BaseException | None, *, at_the_end: bool = False
    ) -> None:
        while not self._closed.is_set():
            if self._stop.requested.is_set() and not at_the_end:
                raise Stopped
            try:
                self._queue.put(what, timeout=POLL_SECONDS)
            except Full:
                continue
            return
        if not at_the_end:
            raise Stopped
