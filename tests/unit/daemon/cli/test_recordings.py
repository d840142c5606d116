from pathlib import Path

import pytest

from daemon.cli.problem import Problem
from daemon.cli.recordings import duration_seconds, find_recordings, name_transcripts
from neuron_worker.contract import TranscriptFormat

RECORDINGS = Path(__file__).parents[3] / "recordings"
TXT = [TranscriptFormat.TXT]


def test_a_folder_stands_for_the_recordings_in_it(tmp_path: Path) -> None:
    for name in ("b.mp3", "a.WAV", "notes.txt", "deep/c.opus"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    found = [str(path.relative_to(tmp_path)) for path in find_recordings([tmp_path])]

    assert found == ["a.WAV", "b.mp3", "deep/c.opus"]


def test_a_file_named_outright_is_taken_whatever_it_is_called(tmp_path: Path) -> None:
    (tmp_path / "talk.bin").touch()

    assert find_recordings([tmp_path / "talk.bin", tmp_path / "talk.bin"]) == [
        tmp_path / "talk.bin"
    ]


def test_what_is_not_there_is_a_problem(tmp_path: Path) -> None:
    with pytest.raises(Problem, match="no such file"):
        find_recordings([tmp_path / "nowhere.mp3"])
    with pytest.raises(Problem, match="no recordings"):
        find_recordings([tmp_path])


def test_recordings_of_the_same_name_keep_their_transcripts_apart(tmp_path: Path) -> None:
    recordings = [Path("a/talk.mp3"), Path("b/talk.wav"), Path("c/Talk.wav"), Path("talk-2.wav")]

    stems = name_transcripts(recordings, tmp_path, TXT, overwrite=False)

    assert stems == ["talk", "talk-2", "Talk-3", "talk-2-2"]


def test_a_transcript_that_is_there_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "talk.txt").write_text("precious")

    assert name_transcripts([Path("talk.mp3")], tmp_path, TXT, overwrite=False) == ["talk-2"]
    assert name_transcripts([Path("talk.mp3")], tmp_path, TXT, overwrite=True) == ["talk"]


def test_the_length_is_read_from_the_container_where_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "text.mp3").write_text("no sound in here")

    assert duration_seconds(RECORDINGS / "weather.mp3") == pytest.approx(30.71, abs=0.1)
    assert duration_seconds(tmp_path / "text.mp3") is None
