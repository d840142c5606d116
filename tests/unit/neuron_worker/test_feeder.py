"""What the feeder counts as reading."""

from typing import Any

import numpy as np
import pytest

from neuron_worker import meter
from neuron_worker.audio import NotAudioError
from neuron_worker.contract import Options, Stage, WorkItem
from neuron_worker.feeder import Feeder
from neuron_worker.in_hand import RequestInHand
from neuron_worker.speech import Window
from neuron_worker.stop import Stop
from neuron_worker.store import Store
from neuron_worker.whisper.weights import load_checkpoint
from tests.clock import Clock
from tests.scripted import ScriptedTranscriber, its_time

ITEM = WorkItem(
    request_id="r", audio="s3://recordings/a.wav", output="s3://transcripts/", options=Options()
)
READ_SECONDS, WAIT_SECONDS = 3.0, 100.0


class Reading:
    """A feeder whose reading, and whose queue, take as long as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock = Clock()
        monkeypatch.setattr(meter, "monotonic", self.clock)
        self.request = RequestInHand(ITEM, None, None)
        self.feeder = Feeder(
            store=Store(),
            transcriber=ScriptedTranscriber(load_checkpoint("tiny.en"), 2, its_time),
            requests=iter(()),
            progress=lambda _: None,
            audio_max_seconds=60.0,
            whole=lambda _: None,
            stop=Stop(),
        )
        monkeypatch.setattr(self.feeder, "_put", self._put)
        monkeypatch.setattr(self.feeder, "_read", self._read)
        self.failure: Exception | None = None

    def _put(self, what: Any) -> None:
        self.clock.advance(WAIT_SECONDS)

    def _read(self, request: RequestInHand, decoder: Any) -> None:
        request.tracks = self.feeder._tracks(request, 2)
        for track in request.tracks:
            self.clock.advance(READ_SECONDS)
            for ahead in (Window(0.0, np.zeros(16_000, np.float32)), None):
                self.feeder._hand_over(track, ahead)
        if self.failure is not None:
            raise self.failure

    def seconds(self) -> float:
        self.feeder._feed(self.request, None)  # type: ignore[arg-type]
        return self.request.meter.seconds[Stage.READ]


def test_waiting_for_room_in_the_queue_is_no_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(monkeypatch)
    assert reading.seconds() == pytest.approx(2 * READ_SECONDS)
    assert reading.clock.seconds > 2 * WAIT_SECONDS


def test_what_turns_out_to_be_no_audio_was_read_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading = Reading(monkeypatch)
    reading.failure = NotAudioError(detail="noise")
    assert reading.seconds() == pytest.approx(2 * READ_SECONDS)
    assert reading.request.failure is not None


def test_channels_of_a_recording_count_together(monkeypatch: pytest.MonkeyPatch) -> None:
    reading = Reading(monkeypatch)
    reading.seconds()
    meters = [track.recording.meter for track in reading.request.tracks]
    assert [one is reading.request.meter for one in meters] == [True, True]
