"""Reading a recording from somewhere in the middle."""

import io
from functools import cache
from typing import Any

import numpy as np
import pytest

from neuron_worker.audio import AudioFacts, AudioReader, Decoder
from tests.media import Samples, bursts, encoded, signal

CONTAINERS = {
    "wav": "pcm_s16le",
    "flac": "flac",
    "aiff": "pcm_s16be",
    "caf": "pcm_s16le",
    "mp4": "aac",
    "ogg": "libopus",
    "matroska": "libopus",
    "mp3": "libmp3lame",
    "adts": "aac",
    "mpegts": "aac",
}
INDEXED = tuple(name for name in CONTAINERS if name not in ("mp3", "adts", "mpegts"))
RATE = 48_000


class Counted(io.BytesIO):
    """A file that counts what is read of it."""

    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self.bytes_read += len(content)
        return content


@cache
def content(container: str, seconds: float = 60.0) -> bytes:
    tiled = np.tile(signal(RATE), (1, round(seconds / 20)))
    return encoded(tiled, container, CONTAINERS[container], RATE)


def read(file: Counted, **wanted: Any) -> tuple[Samples, AudioFacts]:
    with AudioReader(file, max_seconds=1e5, **wanted) as reader:
        blocks = list(reader.blocks())
        none = np.zeros((1, 0), np.float32)
        return np.concatenate(blocks or [none], axis=1), reader.facts


@pytest.mark.parametrize("start", [0.4, 26.0, 33.3, 59.5])
@pytest.mark.parametrize("container", CONTAINERS)
def test_what_comes_is_where_the_whole_has_it(container: str, start: float) -> None:
    whole, of_whole = read(Counted(content(container)))
    some, facts = read(Counted(content(container)), start_seconds=start)

    assert start - 0.2 <= facts.start_seconds <= start
    assert facts.seconds == pytest.approx(of_whole.seconds, abs=0.05)
    assert some.shape[1] / 16_000 == pytest.approx(facts.seconds - facts.start_seconds, abs=0.05)
    begins = [facts.start_seconds + at for at in bursts(some[0]) if at > 0.3]
    expected = [at for at in bursts(whole[0]) if at > facts.start_seconds + 0.3]
    assert begins == pytest.approx(expected, abs=0.03)
    assert facts.warnings == ()


@pytest.mark.parametrize("container", INDEXED)
def test_what_comes_before_is_not_read_where_there_is_an_index(container: str) -> None:
    file = Counted(content(container, 1_200.0))
    read(file, start_seconds=1_100.0)

    assert file.bytes_read < len(file.getbuffer()) / 4


@pytest.mark.parametrize("container", CONTAINERS)
def test_behind_the_end_there_is_nothing(container: str) -> None:
    some, facts = read(Counted(content(container)), start_seconds=75.0)

    assert some.shape[1] == 0
    assert facts.start_seconds == 0


def with_a_hole(container: str, share: float, size: int) -> bytes:
    """A recording with so many bytes missing from a place on."""
    damaged = bytearray(content(container))
    first = round(len(damaged) * share)
    damaged[first : first + size] = bytes(size)
    return bytes(damaged)


@pytest.mark.parametrize("container", ["flac", "mp3"])
def test_damage_before_the_start_is_nobodys_business(container: str) -> None:
    damaged = with_a_hole(container, 0.33, 20_000)
    _, of_whole = read(Counted(damaged))
    _, of_rest = read(Counted(damaged), start_seconds=40.0)

    assert of_whole.lost_seconds > 0.2
    assert (of_rest.lost_seconds, of_rest.bad_packets, of_rest.warnings) == (0, 0, ())


@pytest.mark.parametrize("container", ["flac", "mp3"])
def test_in_a_hole_there_is_nothing_before_what_follows_it(container: str) -> None:
    size = len(content(container)) // 30
    damaged = with_a_hole(container, 0.5, size)
    some, facts = read(Counted(damaged), start_seconds=31.0)

    assert 31.0 < facts.start_seconds < 33.0
    assert some.shape[1] / 16_000 == pytest.approx(facts.seconds - facts.start_seconds, abs=0.05)
    assert facts.lost_seconds == 0


def test_a_file_that_is_cut_off_says_so_to_whoever_meets_its_end() -> None:
    cut = content("wav")[: len(content("wav")) // 2]
    _, meets = read(Counted(cut), start_seconds=25.0)
    _, misses = read(Counted(cut), start_seconds=45.0)

    assert any("cut off" in warning for warning in meets.warnings)
    assert misses.warnings == ()


def test_a_container_that_lost_its_index_is_read_from_the_start() -> None:
    whole = content("matroska")
    cues = whole.rfind(b"\x1c\x53\xbb\x6b")
    assert cues > 0
    broken = whole[:cues] + bytes(4) + whole[cues + 4 :]
    some, facts = read(Counted(broken), start_seconds=33.3)

    assert 33.1 <= facts.start_seconds <= 33.3
    assert some.shape[1] / 16_000 == pytest.approx(60.0 - 33.3, abs=0.3)


def test_the_decoder_process_reads_from_there_as_well() -> None:
    alone, facts = read(Counted(content("mp4")), start_seconds=33.3)
    with (
        Decoder() as decoder,
        decoder.open(Counted(content("mp4")), max_seconds=1e5, start_seconds=33.3) as recording,
    ):
        blocks = np.concatenate(list(recording.blocks()), axis=1)

    assert recording.facts == facts
    assert np.array_equal(blocks, alone)
