from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_worker.audio.clock import ByteClock, TimestampClock
from tests.media import id3

FRAME = 0.02


@st.composite
def timelines(draw: st.DrawFn) -> list[float]:
    """When each frame of 20 ms starts: runs of at least two, with gaps between them."""
    starts, at = [], draw(st.floats(0, 1000))
    for _ in range(draw(st.integers(1, 6))):
        for _ in range(draw(st.integers(2, 30))):
            starts.append(at)
            at += FRAME
        at += draw(st.floats(0.06, 59))
    return starts


def play(clock: TimestampClock, starts: list[float]) -> Iterator[float]:
    for start in starts:
        yield clock.place(start, FRAME, 100)


@given(timelines())
def test_gaps_in_time_end_where_the_timestamps_say(starts: list[float]) -> None:
    clock = TimestampClock(origin_seconds=None, declared_seconds=None)
    silence = sum(play(clock, starts))
    assert clock.seconds == pytest.approx(starts[-1] + FRAME - starts[0], abs=0.06)
    assert clock.lost_seconds == pytest.approx(silence)
    assert clock.seconds == pytest.approx(silence + FRAME * len(starts))


@given(st.integers(1, 48), st.floats(-1e6, 1e6))
def test_one_wrong_timestamp_changes_nothing(index: int, wrong: float) -> None:
    clock = TimestampClock(origin_seconds=0.0, declared_seconds=1e7)
    starts = [number * FRAME for number in range(50)]
    starts[index] = wrong
    assert sum(play(clock, starts)) == 0.0


@given(st.lists(st.floats(-0.001, 0.001), min_size=2, max_size=200))
def test_the_jitter_of_coarse_timestamps_is_no_gap(jitter: list[float]) -> None:
    clock = TimestampClock(origin_seconds=0.0, declared_seconds=None)
    starts = [number * FRAME + wobble for number, wobble in enumerate(jitter)]
    assert sum(play(clock, starts)) == 0.0


def test_a_jump_beyond_the_declared_length_is_not_believed() -> None:
    clock = TimestampClock(origin_seconds=0.0, declared_seconds=100.0)
    starts = [0.0, 0.02, 5_000.0, 5_000.02, 5_000.04]
    assert sum(play(clock, starts)) == 0.0
    clock = TimestampClock(origin_seconds=0.0, declared_seconds=6_000.0)
    assert sum(play(clock, starts)) == pytest.approx(5_000 - 0.04)


def test_after_a_clock_has_started_again_its_gaps_count() -> None:
    clock = TimestampClock(origin_seconds=500.0, declared_seconds=None)
    first = [500 + number * FRAME for number in range(50)]
    again = [number * FRAME for number in range(50)]
    after_gap = [start + 3.0 for start in again]
    assert sum(play(clock, [*first, *again])) == 0.0
    assert sum(play(clock, after_gap)) == pytest.approx(2.0, abs=0.06)


def test_small_losses_are_made_up_before_they_add_to_a_drift() -> None:
    """Every fifth frame is lost: none alone is worth a gap, but all together are 20 %."""
    clock = TimestampClock(origin_seconds=0.0, declared_seconds=None)
    sum(play(clock, [number * FRAME for number in range(5_000) if number % 5]))
    assert clock.seconds == pytest.approx(5_000 * FRAME, abs=0.1)


def test_lost_bytes_are_lost_time_at_the_mean_rate() -> None:
    clock = ByteClock()
    clock.skip(5_000, b"rubbish before the first frame")
    assert clock.place(None, 0.1, 1_000) == 0.0
    clock.skip(30_000, b"\x00" * 10)
    assert clock.place(None, 0.1, 1_000) == pytest.approx(3.0)
    clock.skip(30_000, b"rubbish behind the last frame")
    assert clock.seconds == pytest.approx(3.2)


def test_bytes_of_a_tag_are_no_time() -> None:
    clock = ByteClock()
    clock.place(None, 0.1, 1_000)
    tag = id3(bytes(20_000))
    clock.skip(15_000, tag[:10])
    clock.skip(7_010, tag[:0])
    assert clock.place(None, 0.1, 1_000) == pytest.approx(0.2)
