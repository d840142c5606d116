"""Long files of speech with their texts, put together from clips: every time the same."""

import hashlib
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.bench import audio

TRANSCRIPTS = ("transcripts.json", "references.json")
"""The list beside the clips: objects with `file` and `text`, and `lang` where it is not English."""

PAUSE_SECONDS = (0.4, 1.5)
"""Between two clips: from a breath to a change of speakers."""

PEAK = 0.7
"""Every clip's, of full scale: between clips of several recorders lie up to 50 dB, and Whisper is
deaf to what lies 80 dB below the loudest of a window (openai/whisper, audio.py,
`log_mel_spectrogram`)."""

SEED = 20_250_625
"""Another seed makes other files; the order of the clips and the pauses come from it."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording of a few seconds to a minute, and what is said in it."""

    file: Path
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A clip, by its place in the list, and the silence after it."""

    clip: int
    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Speech:
    """A file to transcribe. `sha256` is that of its samples, so it names what was heard."""

    name: str
    file: Path
    seconds: float
    text: str
    sha256: str


def clips_in(folder: Path) -> list[Clip]:
    """The English clips that a folder lists.

    Raises FileNotFoundError for a folder without a list, and ValueError for an empty one.
    """
    lists = [folder / name for name in TRANSCRIPTS if (folder / name).is_file()]
    if not lists:
        raise FileNotFoundError(f"{folder} has no {' or '.join(TRANSCRIPTS)}: list its clips there")
    listed = json.loads(lists[0].read_text())
    clips = [
        Clip(folder / one["file"], one["text"]) for one in listed if one.get("lang", "en") == "en"
    ]
    if not clips:
        raise ValueError(f"{lists[0]} lists no English clip: tiny.en hears nothing else")
    return clips


def plan(clip_seconds: Sequence[float], min_seconds: float) -> list[Piece]:
    """Rounds of all clips, each in another order, until `min_seconds` are filled.

    A shorter plan is the beginning of every longer one.
    """
    pieces: list[Piece] = []
    filled_seconds = 0.0
    for piece in _pieces(len(clip_seconds)):
        if filled_seconds >= min_seconds:
            break
        pieces.append(piece)
        filled_seconds += clip_seconds[piece.clip] + piece.pause_seconds
    return pieces


def _pieces(clips: int) -> Iterator[Piece]:
    dice = random.Random(SEED)
    while True:
        order = list(range(clips))
        dice.shuffle(order)
        for clip in order:
            yield Piece(clip, round(dice.uniform(*PAUSE_SECONDS), 2))


def levelled(samples: audio.Samples) -> audio.Samples:
    """The same sound, as loud as every other clip."""
    loudest = max(1, int(np.abs(samples.astype(np.int32)).max()))
    return np.round(samples * (PEAK * audio.FULL_SCALE / loudest)).astype(np.int16)


class Assembly:
    """The clips of one folder, decoded, ready to be put together to any length."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._clips = clips_in(folder)
        self._samples = [levelled(audio.read(clip.file)) for clip in self._clips]

    def write(self, min_seconds: float, file: Path) -> Speech:
        """Write a file of at least `min_seconds`, which ends with a whole clip and a pause."""
        seconds = [samples.size / audio.SAMPLE_RATE for samples in self._samples]
        pieces = plan(seconds, min_seconds)
        parts = []
        for piece in pieces:
            pause = np.zeros(round(piece.pause_seconds * audio.SAMPLE_RATE), np.int16)
            parts += [self._samples[piece.clip], pause]
        samples = np.concatenate(parts)
        audio.write(samples, file)
        return Speech(
            name=self._name,
            file=file,
            seconds=samples.size / audio.SAMPLE_RATE,
            text=" ".join(self._clips[piece.clip].text for piece in pieces),
            sha256=hashlib.sha256(samples.tobytes()).hexdigest(),
        )
