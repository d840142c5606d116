"""Speech in real recordings, found by the real network."""

import itertools
import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from neuron_worker.audio import AudioReader
from neuron_worker.speech import (
    SAMPLE_RATE,
    WINDOW_MAX_SECONDS,
    Samples,
    SpeechCutter,
    SpeechDetector,
    Window,
)

RECORDINGS = Path(__file__).parents[2] / "recordings"
REFERENCES = {
    reference["file"]: reference
    for reference in json.loads((RECORDINGS / "references.json").read_text())
}


def blocks_of(name: str) -> list[Samples]:
    with (RECORDINGS / name).open("rb") as file, AudioReader(file, max_seconds=100) as reader:
        return list(reader.blocks())


def cut(blocks: list[Samples]) -> tuple[list[Window], float]:
    cutter = SpeechCutter()
    windows = list(cutter.windows(blocks))
    return windows, cutter.speech_seconds


def end_of(window: Window) -> float:
    return window.start_seconds + window.samples.size / SAMPLE_RATE


@pytest.mark.parametrize("name", REFERENCES)
def test_windows_hold_the_audio_as_it_was(name: str) -> None:
    blocks = blocks_of(name)
    audio = np.concatenate(blocks)
    windows, speech_seconds = cut(blocks)
    for window in windows:
        first = round(window.start_seconds * SAMPLE_RATE)
        assert np.array_equal(window.samples, audio[first : first + window.samples.size])
        assert window.samples.size <= WINDOW_MAX_SECONDS * SAMPLE_RATE
    for earlier, later in itertools.pairwise(windows):
        assert end_of(earlier) <= later.start_seconds
    covered = sum(end_of(window) - window.start_seconds for window in windows)
    assert 0.5 * covered < speech_seconds < covered


@pytest.mark.parametrize("name", REFERENCES)
def test_no_more_windows_than_the_speech_needs(name: str) -> None:
    windows, _ = cut(blocks_of(name))
    reference = REFERENCES[name]
    needed = 2 if reference["silence"] or reference["seconds"] > 31 else 1
    assert len(windows) == needed


def test_a_long_silence_is_in_no_window() -> None:
    first, second = REFERENCES["harbour.flac"]["silence"]
    windows, speech_seconds = cut(blocks_of("harbour.flac"))
    before, after = windows
    assert first - 0.7 < end_of(before) < first + 0.4
    assert second - 0.4 < after.start_seconds < second + 0.4
    assert speech_seconds < REFERENCES["harbour.flac"]["seconds"] - 20


def test_the_size_of_the_blocks_does_not_matter() -> None:
    blocks = blocks_of("archive.opus")
    audio = np.concatenate(blocks)
    expected, expected_speech_seconds = cut(blocks)
    for size in (1_000, 16_001, 262_144, audio.size):
        windows, speech_seconds = cut([audio[i : i + size] for i in range(0, audio.size, size)])
        assert speech_seconds == expected_speech_seconds
        assert [w.start_seconds for w in windows] == [w.start_seconds for w in expected]
        assert [w.samples.size for w in windows] == [w.samples.size for w in expected]


@pytest.mark.parametrize("level", [0.0, 0.001, 0.1])
def test_silence_and_noise_are_not_speech(level: float) -> None:
    noise = level * np.random.default_rng(0).standard_normal((60, SAMPLE_RATE))
    assert cut(list(noise.astype(np.float32))) == ([], 0.0)


def test_nothing_gives_nothing() -> None:
    assert cut([]) == ([], 0.0)
    assert cut([np.zeros(100, np.float32)]) == ([], 0.0)


def test_quiet_speech_is_found_too() -> None:
    loud, _ = cut(blocks_of("weather.mp3"))
    quiet, _ = cut([block * np.float32(0.02) for block in blocks_of("weather.mp3")])
    assert len(quiet) == len(loud)
    assert quiet[0].start_seconds == pytest.approx(loud[0].start_seconds, abs=0.3)
    assert end_of(quiet[0]) == pytest.approx(end_of(loud[0]), abs=0.3)


def test_windows_come_before_the_audio_has_ended() -> None:
    """A recording of any length: the cutter holds one window, not the recording."""
    taken = 0

    def endless() -> Iterator[Samples]:
        nonlocal taken
        blocks = blocks_of("archive.opus")
        while True:
            for block in blocks:
                taken += block.size
                yield block

    windows = SpeechCutter().windows(endless())
    for window in (next(windows) for _ in range(6)):
        assert taken / SAMPLE_RATE - end_of(window) < 30


def test_probabilities_are_those_of_the_frame_by_frame_network() -> None:
    """Silero's other model, which is stepped through 32 ms at a time, is the reference."""
    package = find_spec("silero_vad")
    assert package
    assert package.origin
    session = onnxruntime.InferenceSession(
        Path(package.origin).with_name("data") / "silero_vad_16k_op15.onnx"
    )
    audio = np.concatenate(blocks_of("interview.m4a"))[: 512 * 300]
    detector = SpeechDetector()
    found = [detector.probabilities(part) for part in (audio[: 512 * 100], audio[512 * 100 :])]
    state, context = np.zeros((2, 1, 128), np.float32), np.zeros(64, np.float32)
    expected = []
    for frame in audio.reshape(-1, 512):
        inputs = {
            "input": np.concatenate([context, frame])[np.newaxis],
            "state": state,
            "sr": np.array(SAMPLE_RATE),
        }
        probability, state = session.run(None, inputs)
        context = frame[-64:]
        expected.append(probability.item())
    assert np.concatenate(found) == pytest.approx(expected, abs=1e-3)
