import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from neuron_worker.audio import AudioError
from tests.media import BURSTS, KINDS, SECONDS, bursts, encoded, id3, read, signal


def with_hole(content: bytes, filling: str) -> bytes:
    """A tenth of the file, from 40 % on, is lost: between the third and the fourth burst."""
    size = len(content)
    first, count = int(size * 0.52), size // 10
    lost = bytes(count) if filling == "zeros" else np.random.default_rng(1).bytes(count)
    return content[:first] + lost + content[first + count :]


@pytest.mark.parametrize("filling", ["zeros", "noise"])
@pytest.mark.parametrize(
    "kind", ["mp3", "m4a", "bare aac", "opus", "webm", "flac", "transport stream", "wma"]
)
def test_a_hole_becomes_silence_and_later_times_stay_right(
    files: dict[str, bytes], kind: str, filling: str
) -> None:
    samples, facts = read(with_hole(files[kind], filling))
    assert facts.seconds == pytest.approx(SECONDS, abs=0.1)
    assert [start for start in BURSTS if start < 10 or start > 14] == pytest.approx(
        [found for found in bursts(samples) if found < 10 or found > 14], abs=0.1
    )
    assert 1.5 < facts.lost_seconds < 5
    assert facts.warnings == (
        f"{facts.lost_seconds:.1f} s of audio were unreadable and replaced by silence",
    )


@pytest.mark.parametrize("kind", ["opus", "transport stream"])
def test_a_demuxer_that_gives_up_in_a_large_hole_is_made_to_go_on(kind: str) -> None:
    """FFmpeg's Ogg reader looks for the next page no further than 64 KiB ahead."""
    container, codec, rate, channels, _ = KINDS[kind]
    large = encoded(signal(rate, channels), container, codec, rate, bit_rate=250_000)
    middle = len(large) // 2
    samples, facts = read(large[:middle] + bytes(100_000) + large[middle + 100_000 :])
    assert facts.seconds == pytest.approx(SECONDS, abs=0.1)
    assert bursts(samples)[-1] == pytest.approx(BURSTS[-1], abs=0.1)


def test_a_gap_in_the_timestamps_becomes_silence() -> None:
    gap = encoded(signal(48_000), "matroska", "libopus", 48_000, moved=(10.0, 7.0))
    samples, facts = read(gap)
    assert facts.seconds == pytest.approx(SECONDS + 7, abs=0.1)
    assert facts.lost_seconds == pytest.approx(7, abs=0.1)
    assert bursts(samples) == pytest.approx([1, 5, 9, 20, 24], abs=0.05)


def test_a_clock_that_starts_again_does_not_stop_the_audio(files: dict[str, bytes]) -> None:
    samples, facts = read(files["transport stream"] * 2)
    again = [start + SECONDS for start in BURSTS]
    assert bursts(samples) == pytest.approx([*BURSTS, *again], abs=0.1)
    assert facts.lost_seconds == 0.0


@pytest.mark.parametrize("kind", ["mp3", "bare aac"])
def test_a_tag_with_a_picture_between_two_songs_is_not_lost_audio(
    files: dict[str, bytes], kind: str
) -> None:
    samples, facts = read(files[kind] + id3(np.random.default_rng(2).bytes(200_000)) + files[kind])
    again = [start + SECONDS for start in BURSTS]
    assert bursts(samples) == pytest.approx([*BURSTS, *again], abs=0.15)
    assert facts.lost_seconds < 0.1


def test_values_that_are_not_numbers_become_silence() -> None:
    broken = signal(16_000, seconds=2)
    broken[:, 8_000:9_000] = np.nan
    broken[:, 9_000:10_000] = 1e30
    samples, _ = read(encoded(broken, "wav", "pcm_f32le", 16_000))
    assert np.abs(samples).max() <= 1.0
    assert not samples[8_000:9_000].any()


def test_a_length_that_the_bytes_cannot_fill_is_not_believed(files: dict[str, bytes]) -> None:
    """Its header promises 2,000 s, of which there are 20."""
    content = bytearray(files["mp3"])
    at = content.index(b"Info") + 8
    frames, size = struct.unpack_from(">II", content, at)
    struct.pack_into(">II", content, at, frames * 100, size * 100)
    _, facts = read(bytes(content), max_seconds=1_000)
    assert facts.container_seconds == pytest.approx(2_000, rel=0.01)
    assert facts.seconds == pytest.approx(SECONDS, abs=0.1)


SMALL = {
    kind: encoded(signal(rate, channels, seconds=2), container, codec, rate, bit_rate=bit_rate)
    for kind, (container, codec, rate, channels, bit_rate) in KINDS.items()
    if kind in ("mp3", "m4a", "bare aac", "opus", "webm", "flac", "transport stream", "wma")
}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    content = bytearray(SMALL[draw(st.sampled_from(sorted(SMALL)))])
    for _ in range(draw(st.integers(1, 20))):
        at = draw(st.integers(0, len(content) - 1))
        rubbish = draw(st.binary(min_size=1, max_size=200))
        content[at : at + len(rubbish)] = rubbish
    return bytes(content[: draw(st.integers(len(content) // 2, len(content)))])


@settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
@given(damaged())
def test_damage_anywhere_is_read_around_or_refused_in_words(content: bytes) -> None:
    with suppress(AudioError):
        read(content)
