"""Speech in real recordings, found by the real network."""

import itertools
import json
import math
import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_worker.speech import (
    SAMPLE_RATE,
    WINDOW_MAX_SECONDS,
    Samples,
    SpeechCutter,
    SpeechDetector,
    Stretch,
    Window,
)

RECORDINGS = Path(__file__).parents[2] / "recordings"
REFERENCES = {
    reference["file"]: reference
    for reference in json.loads((RECORDINGS / "references.json").read_text())
}


@cache
def audio_of(name: str) -> Samples:
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(str(RECORDINGS / name)) as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    return np.concatenate([f.to_ndarray()[0] for f in (*frames, *resampler.resample(None))])


def cut(*blocks: Samples) -> tuple[list[Window], float]:
    cutter = SpeechCutter()
    windows = [window for block in blocks for window in cutter.push(block)]
    windows += cutter.finish()
    return windows, cutter.speech_seconds


def in_blocks(audio: Samples, size: int) -> list[Samples]:
    return [audio[first : first + size] for first in range(0, audio.size, size)]


@pytest.mark.parametrize("name", REFERENCES)
def test_windows_hold_the_audio_as_it_was(name: str) -> None:
    audio = audio_of(name)
    windows, speech_seconds = cut(audio)
    for window in windows:
        first = round(window.start_seconds * SAMPLE_RATE)
        assert np.array_equal(window.samples, audio[first : first + window.samples.size])
        assert 0 < window.samples.size <= WINDOW_MAX_SECONDS * SAMPLE_RATE
        assert window.end_seconds == pytest.approx((first + window.samples.size) / SAMPLE_RATE)
    for earlier, later in itertools.pairwise(windows):
        assert earlier.end_seconds <= later.start_seconds
    covered = sum(window.end_seconds - window.start_seconds for window in windows)
    assert 0.5 * covered < speech_seconds < covered


@pytest.mark.parametrize("name", REFERENCES)
def test_windows_know_where_they_are_loud(name: str) -> None:
    """The recordings are silent between sentences, so loudness tells speech, too."""
    audio = audio_of(name)
    windows, speech_seconds = cut(audio)
    stretches = [stretch for window in windows for stretch in window.speech]
    assert sum(stretch.seconds for stretch in stretches) == pytest.approx(speech_seconds)
    for window in windows:
        edges = [
            e for stretch in window.speech for e in (stretch.start_seconds, stretch.end_seconds)
        ]
        assert edges == sorted(edges)
        assert window.start_seconds <= edges[0]
        assert edges[-1] <= window.end_seconds
    loud = np.flatnonzero(np.abs(audio) > 0.05) / SAMPLE_RATE
    known = [(loud > s.start_seconds - 0.1) & (loud < s.end_seconds + 0.1) for s in stretches]
    missed = loud[~np.any(known, axis=0)]
    assert missed.size < 0.001 * loud.size, f"loud, but no speech: {missed}"


@pytest.mark.parametrize("name", REFERENCES)
def test_no_more_windows_than_the_speech_needs(name: str) -> None:
    windows, _ = cut(audio_of(name))
    reference = REFERENCES[name]
    needed = 2 if reference["silence"] or reference["seconds"] > 31 else 1
    assert len(windows) == needed


def test_a_long_silence_is_in_no_window() -> None:
    first, second = REFERENCES["harbour.flac"]["silence"]
    windows, speech_seconds = cut(audio_of("harbour.flac"))
    before, after = windows
    assert first - 0.7 < before.end_seconds < first + 0.4
    assert second - 0.4 < after.start_seconds < second + 0.4
    assert speech_seconds < REFERENCES["harbour.flac"]["seconds"] - 20


@pytest.mark.parametrize("size", [1_000, 16_001, 262_144, 300_000])
def test_the_size_of_the_blocks_does_not_matter(size: int) -> None:
    audio = audio_of("archive.opus")
    expected, expected_speech_seconds = cut(audio)
    windows, speech_seconds = cut(*in_blocks(audio, size))
    assert speech_seconds == expected_speech_seconds
    assert [w.start_seconds for w in windows] == [w.start_seconds for w in expected]
    assert [w.samples.size for w in windows] == [w.samples.size for w in expected]
    assert [w.speech for w in windows] == [w.speech for w in expected]


def test_the_last_window_ends_with_the_audio() -> None:
    """Not with the detector's last frame, which is filled up."""
    audio = audio_of("harbour.flac")[: 4 * SAMPLE_RATE + 100]
    [window], _ = cut(audio)
    assert window.end_seconds == audio.size / SAMPLE_RATE
    assert window.speech[-1].end_seconds <= window.end_seconds


@pytest.mark.parametrize("level", [0.0, 0.001, 0.1])
def test_silence_and_noise_are_not_speech(level: float) -> None:
    noise = level * np.random.default_rng(0).standard_normal((60, SAMPLE_RATE))
    assert cut(*noise.astype(np.float32)) == ([], 0.0)


def test_nothing_gives_nothing() -> None:
    assert cut() == ([], 0.0)
    assert cut(np.zeros(0, np.float32)) == ([], 0.0)
    assert cut(np.zeros(100, np.float32)) == ([], 0.0)


def test_quiet_speech_is_found_too() -> None:
    loud, _ = cut(audio_of("weather.mp3"))
    quiet, _ = cut(audio_of("weather.mp3") * np.float32(0.02))
    assert len(quiet) == len(loud)
    assert quiet[0].start_seconds == pytest.approx(loud[0].start_seconds, abs=0.3)
    assert quiet[0].end_seconds == pytest.approx(loud[0].end_seconds, abs=0.3)


def test_a_recording_of_any_length_takes_bounded_memory() -> None:
    """The cutter holds what a window may need and one run of the detector, not the recording."""
    cutter, pushed, found = SpeechCutter(), 0, 0
    for block in itertools.islice(
        itertools.cycle(in_blocks(audio_of("archive.opus"), 16_000)), 300
    ):
        pushed += block.size
        for window in cutter.push(block):
            found += 1
            assert window.samples.base is None, "a window keeps more audio alive than its own"
            assert pushed / SAMPLE_RATE - window.end_seconds < 30
        held = cutter._held if cutter._held.base is None else cutter._held.base
        held_seconds = sum(part.nbytes for part in (held, *cutter._gathered)) / 4 / SAMPLE_RATE
        assert held_seconds < 30 + 5 + 2 * 17
    assert found >= 9


def test_speech_without_a_pause_is_cut_into_windows_that_overlap() -> None:
    """Two people who take turns without a breath: every sample of it is heard at least once."""
    audio = audio_of("archive.opus")
    windows, _ = cut(audio)
    stretches = [stretch for window in windows for stretch in window.speech]
    talk = np.concatenate([_samples(audio, stretch) for stretch in stretches])
    windows, speech_seconds = cut(np.concatenate([talk, talk]))
    assert speech_seconds == pytest.approx(2 * talk.size / SAMPLE_RATE, rel=0.03)
    assert len(windows) >= 3
    for earlier, later in itertools.pairwise(windows):
        assert 0 <= earlier.end_seconds - later.start_seconds <= 2.0


def _samples(audio: Samples, stretch: Stretch) -> Samples:
    first, last = (round(at * SAMPLE_RATE) for at in (stretch.start_seconds, stretch.end_seconds))
    return audio[first:last]


@given(
    start=st.integers(0, 40 * SAMPLE_RATE),
    count=st.integers(1, 30 * SAMPLE_RATE),
    cut=st.tuples(st.floats(-2, 31), st.floats(0.1, 31)),
    pauses=st.lists(st.floats(0, 30), max_size=6, unique=True).map(sorted),
)
def test_a_part_of_a_window_holds_its_audio_and_its_speech(
    start: int, count: int, cut: tuple[float, float], pauses: list[float]
) -> None:
    start_seconds = start / SAMPLE_RATE
    edges = [start_seconds + pause for pause in pauses if pause <= count / SAMPLE_RATE]
    speech = tuple(itertools.starmap(Stretch, zip(edges[::2], edges[1::2], strict=False)))
    window = Window(start_seconds, np.arange(count, dtype=np.float32), speech)
    stretch = Stretch(start_seconds + cut[0], start_seconds + cut[0] + cut[1])
    part = window.part(stretch)
    for index in {0, part.samples.size - 1} if part.samples.size else ():
        heard_at = part.start_seconds + index / SAMPLE_RATE
        assert part.samples[index] == round((heard_at - start_seconds) * SAMPLE_RATE)
    missing = max(cut[0], 0) - (part.start_seconds - start_seconds)
    if part.samples.size:
        assert abs(missing) <= 1 / SAMPLE_RATE
        wanted_end = min(stretch.end_seconds, window.end_seconds)
        assert part.end_seconds == pytest.approx(wanted_end, abs=1 / SAMPLE_RATE)
    kept = sum(one.seconds for one in part.speech)
    both = (
        min(one.end_seconds, stretch.end_seconds) - max(one.start_seconds, stretch.start_seconds)
        for one in speech
    )
    assert kept == pytest.approx(sum(seconds for seconds in both if seconds > 0))


def test_probabilities_are_those_of_the_frame_by_frame_network() -> None:
    """Silero's other model, which is stepped through 32 ms at a time, is the reference."""
    detector = SpeechDetector()
    # Only now: it must have been told to keep its records to itself.
    import onnxruntime

    package = find_spec("silero_vad")
    assert package
    assert package.origin
    session = onnxruntime.InferenceSession(
        Path(package.origin).with_name("data") / "silero_vad_16k_op15.onnx"
    )
    audio = audio_of("interview.m4a")[: 512 * 300]
    found = [detector.probabilities(part) for part in (audio[: 512 * 100], audio[512 * 100 :])]
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32)
    expected, level = [], 0.0
    for frame in audio.reshape(-1, 512):
        # The level sinks to 1/e in a second.
        level = max(float(np.sqrt((frame**2).mean())), level * math.exp(-512 / SAMPLE_RATE))
        gain = 0.1 / max(level, 0.1 / 30)
        inputs = {
            "input": (gain * np.concatenate([context, frame])).astype(np.float32)[np.newaxis],
            "state": state,
            "sr": np.array(SAMPLE_RATE),
        }
        probability, state = session.run(None, inputs)
        context = frame[-64:]
        expected.append(probability.item())
    assert np.concatenate(found) == pytest.approx(expected, abs=1e-3)


def test_the_network_keeps_no_records_of_its_use(tmp_path: Path) -> None:
    """ONNX Runtime would write them below the user's home, and send them to its makers."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ORT_", "XDG_", "CI"))
    }
    subprocess.run(
        [sys.executable, "-c", "from neuron_worker.speech import SpeechDetector; SpeechDetector()"],
        env={**environment, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
    )
    assert list(tmp_path.rglob("*")) == []


def test_a_quiet_voice_after_a_loud_one_is_heard() -> None:
    """As on a telephone: the network by itself takes 28 dB less than before for silence."""
    loud, quiet = audio_of("weather.mp3"), audio_of("harbour.flac")[: 10 * SAMPLE_RATE]
    windows, _ = cut(np.concatenate([loud, quiet * np.float32(10 ** (-28 / 20))]))
    speech = [stretch for window in windows for stretch in window.speech]
    loud_seconds = loud.size / SAMPLE_RATE
    heard = sum(s.seconds for s in speech if s.start_seconds > loud_seconds)
    alone, _ = cut(quiet)
    expected = sum(s.seconds for window in alone for s in window.speech)
    assert heard == pytest.approx(expected, rel=0.2)
