"""Each odd recording, read by a real decoder process."""

import io
from collections.abc import Iterator

import numpy as np
import pytest

from neuron_worker.audio import AudioFacts, Decoder
from tests.media import Samples, bursts
from tests.odd_files import Heard, Make, Refused, kind
from tests.odd_recordings import (
    DAMAGED,
    DAMAGES,
    MAX_SECONDS,
    REFUSED,
    SOUND,
)


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    """One process for all of them: none may spoil it for the next."""
    with Decoder() as decoder:
        pid = decoder.pid
        yield decoder
        assert decoder.pid == pid


def read(decoder: Decoder, content: bytes) -> tuple[Samples, AudioFacts]:
    with decoder.open(io.BytesIO(content), max_seconds=MAX_SECONDS) as recording:
        blocks = list(recording.blocks())
    return np.concatenate(blocks, axis=1)[0], recording.facts


def judge(decoder: Decoder, content: bytes, expected: Heard | Refused) -> None:
    if isinstance(expected, Refused):
        with pytest.raises(expected.error, match=expected.words):
            read(decoder, content)
        return
    samples, facts = read(decoder, content)
    assert facts.seconds == pytest.approx(expected.seconds, abs=expected.within)
    assert samples.size / 16_000 == pytest.approx(facts.seconds, abs=0.01)
    assert np.isfinite(samples).all()
    assert np.abs(samples).max() <= 1.0
    least, most = expected.lost
    assert least <= facts.lost_seconds <= most, facts
    assert len(facts.warnings) == len(expected.warnings), facts.warnings
    for warning, words in zip(facts.warnings, expected.warnings, strict=True):
        assert words in warning
    if expected.loud_at is not None:
        assert bursts(samples) == pytest.approx(expected.loud_at, abs=0.1)


@pytest.mark.parametrize(("make", "expected"), SOUND.values(), ids=list(SOUND))
def test_an_odd_recording_is_read(decoder: Decoder, make: Make, expected: Heard) -> None:
    judge(decoder, make(), expected)


@pytest.mark.parametrize(
    ("name", "damage", "expected"),
    [(name, damage, outcome) for name, row in DAMAGED.items() for damage, outcome in row.items()],
)
def test_a_damaged_recording_is_read_as_far_as_it_goes(
    decoder: Decoder, name: str, damage: str, expected: Heard | Refused
) -> None:
    judge(decoder, DAMAGES[damage](kind(name)), expected)


@pytest.mark.parametrize(("make", "expected"), REFUSED.values(), ids=list(REFUSED))
def test_what_can_never_be_transcribed_is_refused_in_words(
    decoder: Decoder, make: Make, expected: Refused
) -> None:
    judge(decoder, make(), expected)
