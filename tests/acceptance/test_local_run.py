"""Anybody's files through `whisper-fleet local run`."""

from pathlib import Path

import numpy as np
import pytest

from neuron_worker.audio import AudioReader
from tests.media import Samples, encoded
from tests.running import console

RECORDINGS = Path(__file__).parents[1] / "recordings"


@pytest.fixture(scope="module")
def speech() -> Samples:
    """Ten seconds of the weather: shape (1, samples), 16 kHz."""
    with (
        (RECORDINGS / "weather.mp3").open("rb") as file,
        AudioReader(file, max_seconds=60) as reader,
    ):
        samples = np.concatenate(list(reader.blocks()), axis=1)
    return samples[:, : 10 * 16_000]


def test_whatever_ffmpeg_reads_is_transcribed(tmp_path: Path, speech: Samples) -> None:
    telephone = (speech[:, ::2] + speech[:, 1::2]) * np.float32(0.5)
    made = {
        "a.wav": encoded(speech, "wav", "pcm_s16le", 16_000),
        "b.flac": encoded(speech, "flac", "flac", 16_000),
        "c.mp3": encoded(speech, "mp3", "libmp3lame", 16_000),
        "d.m4a": encoded(speech, "mp4", "aac", 16_000),
        "e.mp4": encoded(speech, "mp4", "aac", 16_000, video=True),
        "f.ogg": encoded(speech, "ogg", "flac", 16_000),
        "g.opus": encoded(speech, "ogg", "libopus", 16_000),
        "h-telephone.wav": encoded(telephone, "wav", "pcm_mulaw", 8_000),
        "i-stereo.wav": encoded(np.tile(speech, (2, 1)), "wav", "pcm_s16le", 16_000),
    }
    inbox, out = tmp_path / "inbox", tmp_path / "out"
    inbox.mkdir()
    for name, content in made.items():
        (inbox / name).write_bytes(content)

    told = console("local", "run", str(inbox), "--out", str(out), "--formats", "txt", timeout=300)

    assert told.returncode == 0, told.stdout + told.stderr
    texts = {file.stem: file.read_text().lower() for file in out.iterdir()}
    assert set(texts) == {Path(name).stem for name in made}
    assert {name for name, text in texts.items() if "weather" not in text} == set()


def test_a_failed_recording_is_told_and_the_others_are_written(
    tmp_path: Path, speech: Samples
) -> None:
    (tmp_path / "good.wav").write_bytes(encoded(speech, "wav", "pcm_s16le", 16_000))
    (tmp_path / "notes.mp3").write_text("These are not sounds.")
    out = tmp_path / "out"
    out.mkdir()
    (out / "good.txt").write_text("precious")

    told = console("local", "run", str(tmp_path), "--out", str(out), "--formats", "txt")

    assert told.returncode == 1
    assert "failed: not_audio" in told.stdout
    assert "1 done, 1 failed" in " ".join(told.stdout.split())
    assert {file.name for file in out.iterdir()} == {"good.txt", "good-2.txt"}
    assert (out / "good.txt").read_text() == "precious"
    assert "weather" in (out / "good-2.txt").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.mp3", "--out", "x"], "no such file or folder"),
        ([str(RECORDINGS), "--out", "x", "--cores", "3"], "must be even"),
        ([str(RECORDINGS), "--out", "x", "--formats", "pdf"], "no format 'pdf'"),
        ([str(RECORDINGS), "--out", "x", "--language", "English"], "language: "),
    ],
)
def test_a_mistake_is_told_before_anything_is_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)

    told = console("local", "run", *arguments)

    assert told.returncode == 1
    assert words in " ".join(told.stderr.split())
    assert "Traceback" not in told.stderr
