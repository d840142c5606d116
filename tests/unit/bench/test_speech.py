"""Long files of speech: planned the same every time, written without loss."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.bench import audio
from tests.bench.speech import PAUSE_SECONDS, PEAK, Assembly, clips_in, levelled, plan

CLIP_SECONDS = [3.0, 11.5, 1.0, 7.25]


def tone(hertz: float, seconds: float) -> audio.Samples:
    times = np.arange(round(seconds * audio.SAMPLE_RATE)) / audio.SAMPLE_RATE
    return (8_000 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two clips, 2 s at 200 Hz and 1 s at 400 Hz, and one that is not in English."""
    audio.write(tone(200, 2.0), tmp_path / "low.flac")
    audio.write(tone(400, 1.0), tmp_path / "high.flac")
    listed = [
        {"file": "low.flac", "text": "low"},
        {"file": "high.flac", "text": "high", "lang": "en"},
        {"file": "hoch.flac", "text": "hoch", "lang": "de"},
    ]
    (tmp_path / "transcripts.json").write_text(json.dumps(listed))
    return tmp_path


def test_a_plan_is_as_long_as_asked_and_no_clip_longer() -> None:
    pieces = plan(CLIP_SECONDS, 60.0)

    seconds = [CLIP_SECONDS[piece.clip] + piece.pause_seconds for piece in pieces]
    assert sum(seconds) >= 60.0 > sum(seconds[:-1])


def test_every_round_of_a_plan_holds_every_clip_once_and_their_order_changes() -> None:
    order = [piece.clip for piece in plan(CLIP_SECONDS, 500.0)]

    whole = len(order) // 4 * 4
    rounds = [order[start : start + 4] for start in range(0, whole, 4)]
    assert all(sorted(one) == [0, 1, 2, 3] for one in rounds), rounds
    assert any(one != other for one, other in pairwise(rounds)), rounds


def test_pauses_keep_within_their_bounds_and_differ() -> None:
    pauses = [piece.pause_seconds for piece in plan(CLIP_SECONDS, 500.0)]

    assert min(pauses) >= PAUSE_SECONDS[0]
    assert max(pauses) <= PAUSE_SECONDS[1]
    assert len(set(pauses)) > len(pauses) / 2


def test_a_plan_is_the_same_every_time_and_begins_as_a_shorter_one() -> None:
    pieces = plan(CLIP_SECONDS, 120.0)

    assert plan(CLIP_SECONDS, 120.0) == pieces
    shorter = plan(CLIP_SECONDS, 30.0)
    assert pieces[: len(shorter)] == shorter


def test_what_is_written_is_heard_again_with_its_text(folder: Path) -> None:
    speech = Assembly("tones", folder).write(20.0, folder / "long.flac")

    samples = audio.read(speech.file)
    assert samples.size / audio.SAMPLE_RATE == speech.seconds >= 20.0
    offset = 0
    for word, piece in zip(speech.text.split(), plan([2.0, 1.0], 20.0), strict=True):
        clip = levelled({"low": tone(200, 2.0), "high": tone(400, 1.0)}[word])
        pause = round(piece.pause_seconds * audio.SAMPLE_RATE)
        assert np.array_equal(samples[offset : offset + clip.size], clip), word
        assert not samples[offset + clip.size : offset + clip.size + pause].any(), word
        offset += clip.size + pause
    assert offset == samples.size


@pytest.mark.parametrize("factor", [0.004, 1.0, 4.0])
def test_clips_become_equally_loud(factor: float) -> None:
    clip = (tone(200, 1.0) * factor).astype(np.int16)

    loud = levelled(clip)

    assert np.abs(loud).max() == round(PEAK * audio.FULL_SCALE)
    assert np.corrcoef(clip, loud)[0, 1] == pytest.approx(1.0)


def test_silence_stays_silent() -> None:
    assert not levelled(np.zeros(100, np.int16)).any()


def test_the_loudest_sample_there_is_does_not_wrap_around() -> None:
    assert levelled(np.array([-32_768, 100], np.int16)).min() == round(-PEAK * audio.FULL_SCALE)


def test_the_same_clips_make_the_same_samples(folder: Path) -> None:
    first = Assembly("tones", folder).write(20.0, folder / "first.flac")
    second = Assembly("tones", folder).write(20.0, folder / "second.flac")

    assert (first.sha256, first.text) == (second.sha256, second.text)


def test_other_rates_and_channels_are_brought_to_whispers(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "recordings"
    references = json.loads((shipped / "references.json").read_text())

    for one in references:
        seconds = audio.read(shipped / one["file"]).size / audio.SAMPLE_RATE
        assert seconds == pytest.approx(one["seconds"], abs=0.1), one["file"]


def test_the_shipped_recordings_are_a_folder_of_clips() -> None:
    clips = clips_in(Path(__file__).parents[2] / "recordings")

    assert len(clips) == 4
    assert all(clip.file.is_file() and clip.text for clip in clips)


def test_a_folder_without_a_list_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"{tmp_path} has no transcripts.json"):
        clips_in(tmp_path)


def test_a_folder_without_english_is_refused(tmp_path: Path) -> None:
    (tmp_path / "transcripts.json").write_text('[{"file": "a", "text": "ä", "lang": "de"}]')

    with pytest.raises(ValueError, match="no English clip"):
        clips_in(tmp_path)
