"""Recordings on disk: which files to take, how long they are, what to call their transcripts."""

import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import av

from daemon.cli.problem import Problem
from neuron_worker.contract import TranscriptFormat

MEDIA_SUFFIXES = frozenset(
    {
        ".3gp",
        ".aac",
        ".ac3",
        ".aif",
        ".aiff",
        ".amr",
        ".asf",
        ".au",
        ".avi",
        ".caf",
        ".flac",
        ".flv",
        ".m4a",
        ".m4b",
        ".m4v",
        ".mka",
        ".mkv",
        ".mov",
        ".mp2",
        ".mp3",
        ".mp4",
        ".mpeg",
        ".mpg",
        ".oga",
        ".ogg",
        ".opus",
        ".ra",
        ".spx",
        ".ts",
        ".w64",
        ".wav",
        ".webm",
        ".wma",
        ".wmv",
    }
)
"""Taken from a folder; a file named outright is taken whatever its suffix."""


def find_recordings(paths: Iterable[Path]) -> list[Path]:
    """The recordings meant: files as named, and every media file below a folder, in order.

    Raises `Problem` for a path that is not there and for a folder with no recording in it.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = [
                file
                for file in sorted(path.rglob("*"))
                if file.suffix.lower() in MEDIA_SUFFIXES and file.is_file()
            ]
            if not inside:
                raise Problem(f"{path}: no recordings in this folder")
            found |= dict.fromkeys(inside)
        elif path.is_file():
            found[path] = None
        else:
            raise Problem(f"{path}: there is no such file or folder")
    return list(found)


def name_transcripts(
    recordings: Sequence[Path],
    folder: Path,
    formats: Sequence[TranscriptFormat],
    *,
    overwrite: bool,
) -> list[str]:
    """A stem for each recording's transcripts: `<stem>`, or `<stem>-2` … where that is taken.

    Taken is what another recording of this run has and, unless overwriting, what exists already.
    """
    taken: set[str] = set()
    stems = []
    for recording in recordings:
        numbered = (f"{recording.stem}-{number}" for number in itertools.count(2))
        for stem in itertools.chain([recording.stem], numbered):
            files = [folder / f"{stem}.{file_format}" for file_format in formats]
            exists = not overwrite and any(file.exists() for file in files)
            if stem.casefold() not in taken and not exists:
                break
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def duration_seconds(recording: Path) -> float | None:
    """What the container says of its length; None where it says nothing or is no container."""
    try:
        with av.open(str(recording)) as container:
            if container.duration is None or container.duration <= 0:
                return None
            return container.duration / av.time_base
    except (av.FFmpegError, OSError):
        return None
