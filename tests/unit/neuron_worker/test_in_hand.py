"""What a request in hand makes of its windows, and how it is interrupted and resumed."""

from dataclasses import replace

import numpy as np
import pytest

from neuron_worker.audio import AudioFacts
from neuron_worker.contract import Channels, Options, WorkItem
from neuron_worker.cutting import FRAME_SAMPLES, SAMPLE_RATE
from neuron_worker.feeder import Feeder
from neuron_worker.in_hand import RequestInHand, told_once
from neuron_worker.progress import Progress
from neuron_worker.speech import Window
from neuron_worker.stop import Stop
from neuron_worker.store import Store
from neuron_worker.transcript import Segment
from neuron_worker.whisper.recording import WindowTranscript
from neuron_worker.whisper.transcriber import Transcriber
from neuron_worker.whisper.weights import load_checkpoint
from tests.scripted import ScriptedTranscriber, its_time

ITEM = WorkItem(
    request_id="call-1",
    audio="s3://calls/one.wav",
    output="s3://transcripts/",
    options=Options(channels=Channels.SEPARATE),
)


@pytest.fixture(scope="module")
def transcriber() -> Transcriber:
    checkpoint = load_checkpoint("tiny.en")
    generation = replace(checkpoint.generation, is_multilingual=True)
    return ScriptedTranscriber(replace(checkpoint, generation=generation), 2, its_time)


def with_two_tracks(transcriber: Transcriber, saved: Progress | None = None) -> RequestInHand:
    feeder = Feeder(
        store=Store(),
        transcriber=transcriber,
        requests=iter(()),
        progress=lambda _: None,
        audio_max_seconds=60.0,
        whole=lambda _: None,
        stop=Stop(),
    )
    request = RequestInHand(ITEM, None, None, saved=saved)
    request.tracks = feeder._tracks(request, 2)
    return request


def hear(request: RequestInHand, track: int, index: int, text: str) -> None:
    """As if a window of 10 s had been transcribed."""
    window = Window(10.0 * index, np.zeros(160_000, np.float32))
    said = Segment(window.start_seconds, window.end_seconds, text, -0.2, 0.1)
    heard = request.tracks[track]
    heard.windows = max(heard.windows, index + 1)
    heard.take(WindowTranscript(heard.recording, index, window, (said,)))


def test_windows_that_only_seem_to_overlap_lose_no_text(transcriber: Transcriber) -> None:
    """Ends and starts are computed apart, and of a cut in 25 the end comes out a bit later."""
    window_frames = 860
    texts = "What would you say to someone like that?", "Do not wait for machines to play them."
    [track, _] = with_two_tracks(transcriber).tracks
    crossing = 0
    for frame in range(1, 500):
        start = frame * FRAME_SAMPLES / SAMPLE_RATE
        samples = np.zeros(window_frames * FRAME_SAMPLES, np.float32)
        before = Window(start, samples)
        after = Window((frame + window_frames) * FRAME_SAMPLES / SAMPLE_RATE, samples)
        crossing += before.end_seconds > after.start_seconds
        for index, (window, text) in enumerate(zip((before, after), texts, strict=True)):
            said = Segment(window.start_seconds, window.end_seconds, text, -0.2, 0.1)
            track.take(WindowTranscript(track.recording, index, window, (said,)))
        assert tuple(segment.text for segment in told_once(track.kept())) == texts
    assert crossing > 5


def test_each_channel_is_resumed_in_its_own_language(transcriber: Transcriber) -> None:
    request = with_two_tracks(transcriber)
    for track, (language, probability) in enumerate((("de", 0.9), ("fr", 0.8))):
        recording = request.tracks[track].recording
        recording.language, recording.language_probability = language, probability
        hear(request, track, 0, language)
    saved = Progress.model_validate_json(request.progress().to_json())
    resumed = with_two_tracks(transcriber, saved)
    told = [(t.recording.language, t.recording.language_probability) for t in resumed.tracks]
    assert told == [("de", 0.9), ("fr", 0.8)]
    assert [[*track.done] for track in resumed.tracks] == [[0], [0]]


def test_a_channel_that_was_silent_so_far_does_not_hide_the_others_language(
    transcriber: Transcriber,
) -> None:
    """Its windows would wait for a vote that is over."""
    request = with_two_tracks(transcriber)
    recording = request.tracks[1].recording
    recording.language, recording.language_probability = "fr", 0.8
    hear(request, 1, 0, "Bonjour.")
    resumed = with_two_tracks(transcriber, request.progress())
    assert [track.recording.language for track in resumed.tracks] == [None, "fr"]

    resumed.facts = AudioFacts("wav", "pcm_s16le", 2, 10.0, 10.0, 0.0, 0, ())
    resumed.tracks[1].windows = 1
    transcript = resumed.transcript("base")
    assert (transcript.language, transcript.language_probability) == ("fr", 0.8)
    [segment] = transcript.segments
    assert (segment.text, segment.channel) == ("Bonjour.", 2)
