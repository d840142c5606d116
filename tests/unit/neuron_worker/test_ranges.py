"""Where ranges of a recording begin and end, and what their readers yield."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_worker.audio import AudioFacts, Recording
from neuron_worker.audio.blocks import Block
from neuron_worker.contract import Range
from neuron_worker.cutting import FRAME_SAMPLES, OVERLAP, SAMPLE_RATE, longest_pause
from neuron_worker.ranges import REACH_SECONDS, Bounds, RangeReader, place_of_cut
from tests.jobs import samples_of


@dataclass
class Tape:
    """A recording of so many silent samples, in blocks of some sizes, read from a second on."""

    samples: int
    sizes: tuple[int, ...]
    start_seconds: float = 0.0
    facts: AudioFacts = field(init=False)

    def blocks(self) -> Iterator[Block]:
        at = first = max(0, round(self.start_seconds * SAMPLE_RATE) - 700)
        self.facts = AudioFacts("wav", "pcm_s16le", 1, None, 0.0, 0.0, 0, (), first / SAMPLE_RATE)
        number = 0
        while at < self.samples:
            size = min(self.sizes[number % len(self.sizes)], self.samples - at)
            yield np.zeros((1, size), np.float32)
            at, number = at + size, number + 1


def read(
    tape: Tape, part: Range, bounds: Bounds, cuts: dict[int, tuple[float, float]]
) -> tuple[int, int, int]:
    """From which sample to which, and how many came."""
    reader = RangeReader(
        cast("Recording", tape),
        part,
        bounds,
        lambda number, end, start: cuts.setdefault(number, (end, start)),
    )
    count = sum(block.shape[1] for block in reader.blocks())
    return round(reader.begins_at * SAMPLE_RATE), round(reader.ends_at * SAMPLE_RATE), count


@settings(deadline=None)
@given(
    seconds=st.floats(0.1, 400),
    told=st.one_of(st.none(), st.floats(0.5, 2.0)),
    sizes=st.lists(st.integers(100, 40_000), min_size=1, max_size=5),
    parts=st.integers(1, 4),
    order=st.randoms(use_true_random=False),
)
def test_ranges_are_the_recording_whatever_it_says_of_its_length_and_whoever_comes_first(
    seconds: float, told: float | None, sizes: list[int], parts: int, order: Random
) -> None:
    samples = round(seconds * SAMPLE_RATE)
    ranges = [Range(number=number, count=2 * parts) for number in range(2 * parts)]
    cuts: dict[int, tuple[float, float]] = {}
    found = {}
    for part in sorted(ranges, key=lambda _: order.random()):
        bounds = Bounds.of(part, None if told is None else told * seconds)
        tape = Tape(samples, tuple(sizes), bounds.read_from)
        found[part.number] = read(tape, part, bounds, cuts)

    some = [found[number] for number in sorted(found) if found[number][2]]
    assert some[0][0] == 0
    for (_, end, _), (start, _, _) in pairwise(some):
        # What is shorter than a pause is told twice rather than cut.
        assert start <= end <= start + OVERLAP * FRAME_SAMPLES
    assert some[-1][1] == samples
    assert all(end - start == count for start, end, count in some)
    assert all(end == 0 for _, end, count in found.values() if not count)


def test_a_range_goes_by_the_cut_that_its_neighbour_found_first() -> None:
    bounds = Bounds.of(Range(number=1, count=2), 100.0)
    tape = Tape(100 * SAMPLE_RATE, (16_000,), bounds.read_from)
    begun = read(tape, Range(number=1, count=2), bounds, {1: (44.0, 43.0)})

    assert begun == (43 * SAMPLE_RATE, 100 * SAMPLE_RATE, 57 * SAMPLE_RATE)


def test_a_cut_is_looked_for_within_reach_of_the_even_one() -> None:
    bounds = Bounds.of(Range(number=1, count=3), 3_600.0)

    assert bounds.start == (1_200 - REACH_SECONDS, 1_200 + REACH_SECONDS)
    assert bounds.end == (2_400 - REACH_SECONDS, 2_400 + REACH_SECONDS)
    assert bounds.read_from == 1_200 - REACH_SECONDS
    assert Bounds.of(Range(number=2, count=3), 3_600.0).end is None
    short = Bounds.of(Range(number=1, count=3), 30.0)
    assert (short.start, short.end) == ((5, 15), (15, 25)), "each second is looked at once"


def test_the_cut_falls_into_the_longest_pause_of_all_channels() -> None:
    speech = samples_of("weather.mp3")[0, : 20 * SAMPLE_RATE]
    one = speech.copy()
    one[5 * SAMPLE_RATE : 8 * SAMPLE_RATE] = 0
    one[11 * SAMPLE_RATE : 15 * SAMPLE_RATE] = 0
    other = speech.copy()
    other[5 * SAMPLE_RATE : 7 * SAMPLE_RATE] = 0

    alone, again = place_of_cut(one[np.newaxis])
    assert alone == again
    assert 12 < alone / SAMPLE_RATE < 16
    both, again = place_of_cut(np.stack([one, other]))
    assert both == again
    assert 5.0 < both / SAMPLE_RATE < 7.0


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([0.9] * 5 + [0.1] * 6 + [0.9] * 5 + [0.1] * 10, (21, True)),
        ([0.1] * 40, (20, True)),
        ([0.9, 0.9, 0.3, 0.9, 0.1, 0.1, 0.9], (4, False)),
        ([0.1] * 8 + [0.9] * 3 + [0.1] * 8, (4, True)),
    ],
)
def test_the_longest_pause_is_the_best_and_without_one_the_least_likely_speech(
    probabilities: list[float], expected: tuple[int, bool]
) -> None:
    assert longest_pause(probabilities) == expected


def test_without_a_pause_two_ranges_overlap_so_that_no_word_is_cut_in_two(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    likely = np.full(100, 0.9, np.float32)
    likely[60] = 0.5
    detector = "neuron_worker.ranges.SpeechDetector.probabilities"
    monkeypatch.setattr(detector, lambda *_: likely)
    end, start = place_of_cut(np.ones((1, 100 * FRAME_SAMPLES), np.float32))

    assert (end - start) // FRAME_SAMPLES == OVERLAP // 2 * 2
    assert start < 60 * FRAME_SAMPLES < end
