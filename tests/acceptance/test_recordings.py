"""The shipped recordings through the whole path, in every format, as `make demo` runs them."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jiwer
import pysubs2
import pytest
import webvtt
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from tests.running import console

RECORDINGS = Path(__file__).parents[1] / "recordings"
REFERENCES = {one["file"]: one for one in json.loads((RECORDINGS / "references.json").read_text())}
WORD_ERROR_RATE_MAX = 0.15
FORMATS = ("txt", "json", "srt", "vtt", "tsv")


@dataclass(frozen=True)
class Run:
    told: subprocess.CompletedProcess[str]
    out: Path

    def text(self, recording: str, suffix: str) -> str:
        return (self.out / recording).with_suffix(f".{suffix}").read_text()

    def document(self, recording: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.text(recording, "json"))
        return document


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    out = tmp_path_factory.mktemp("transcripts")
    told = console(
        *("local", "run", str(RECORDINGS), "--out", str(out), "--formats", ",".join(FORMATS)),
        timeout=300,
    )
    return Run(told, out)


def word_error_rate(reference: str, heard: str) -> float:
    normalize = EnglishTextNormalizer({})
    return float(jiwer.wer(normalize(reference), normalize(heard)))


def test_it_exits_with_0_and_tells_what_it_did(run: Run) -> None:
    assert run.told.returncode == 0, run.told.stdout + run.told.stderr
    told = " ".join(run.told.stdout.split())
    assert "requests 4 done, 0 failed" in told
    assert "orders 1 jobs 2 requests retried 0" in told
    assert re.search(r"audio 2\.4 minutes", told)
    assert re.search(r"speed \d+\.\d times real time", told)
    assert len(re.findall(r"core \d \d+\.\d s busy \(\d+%\)", told)) == 2


def test_every_file_is_where_it_says(run: Run) -> None:
    expected = {f"{Path(name).stem}.{suffix}" for name in REFERENCES for suffix in FORMATS}

    assert {file.name for file in run.out.iterdir()} == expected
    for name in expected:
        assert str(run.out / name) in run.told.stdout


@pytest.mark.parametrize("recording", REFERENCES)
def test_the_words_are_those_that_were_said(run: Run, recording: str) -> None:
    heard = run.document(recording)["text"]

    rate = word_error_rate(REFERENCES[recording]["text"], heard)

    assert rate <= WORD_ERROR_RATE_MAX, f"{rate:.1%} of the words are wrong: {heard}"
    assert "<|" not in heard


@pytest.mark.parametrize("recording", REFERENCES)
def test_every_format_holds_the_same_words(run: Run, recording: str) -> None:
    words = run.document(recording)["text"].split()

    assert run.text(recording, "txt").split() == words
    srt = pysubs2.SSAFile.from_string(run.text(recording, "srt"), format_="srt")
    assert " ".join(line.plaintext for line in srt).split() == words
    vtt = webvtt.from_string(run.text(recording, "vtt"))
    assert " ".join(caption.text for caption in vtt).split() == words
    rows = [row.split("\t") for row in run.text(recording, "tsv").splitlines()[1:]]
    assert " ".join(text for _, _, text in rows).split() == words


@pytest.mark.parametrize("recording", REFERENCES)
def test_times_rise_and_stay_within_the_recording(run: Run, recording: str) -> None:
    segments = run.document(recording)["segments"]
    cues = pysubs2.SSAFile.from_string(run.text(recording, "srt"), format_="srt")

    assert len(cues) == len(segments) > 0
    times = [time for segment in segments for time in (segment["start"], segment["end"])]
    assert times == sorted(times)
    assert times[-1] <= REFERENCES[recording]["seconds"] + 0.1


@pytest.mark.parametrize("recording", REFERENCES)
def test_the_json_carries_the_true_duration(run: Run, recording: str) -> None:
    found = run.document(recording)["duration_seconds"]

    assert found == pytest.approx(REFERENCES[recording]["seconds"], abs=0.1)


def test_nothing_is_heard_in_the_silence(run: Run) -> None:
    start, end = REFERENCES["harbour.flac"]["silence"]
    inside = [
        segment
        for segment in run.document("harbour.flac")["segments"]
        if segment["start"] < end - 0.5 and segment["end"] > start + 0.5
    ]

    assert inside == []
