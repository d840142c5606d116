from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_worker.speech import SAMPLE_RATE, Stretch, Window
from neuron_worker.transcript import Segment
from neuron_worker.whisper.unheard import (
    BORDER_SECONDS,
    FASTEST_CHARACTERS_PER_SECOND,
    PADDING_SECONDS,
    PART_MIN_SECONDS,
    PART_PAUSE_SECONDS,
    SLOWEST_BYTES_PER_SECOND,
    UNHEARD_MIN_SECONDS,
    Missed,
    is_too_fast,
    missed,
    parts,
    spoken_seconds,
)

START = 100.0
SAMPLES = np.zeros(30 * SAMPLE_RATE, np.float32)


def window(*speech: tuple[float, float]) -> Window:
    """30 s; speech in seconds from its start."""
    return Window(START, SAMPLES, tuple(Stretch(START + a, START + b) for a, b in speech))


def said(start: float, end: float, text: str | None = None) -> Segment:
    """A segment with a text as long as it takes to say, or the given one."""
    return Segment(START + start, START + end, text or "x" * int(12 * (end - start)), -0.2, 0.1)


def again(where: Window, *segments: Segment) -> list[tuple[float, float]]:
    """What of the window is heard again, in seconds from its start."""
    return [from_start(one.stretch) for one in missed(where, segments)]


def from_start(stretch: Stretch) -> tuple[float, float]:
    return round(stretch.start_seconds - START, 3), round(stretch.end_seconds - START, 3)


def test_what_segments_account_for_was_heard() -> None:
    assert again(window((1, 10), (11, 29)), said(0.8, 10), said(10.5, 29.4)) == []


def test_speech_before_between_and_after_segments_is_heard_again_with_padding() -> None:
    where = window((0.5, 29))
    found = again(where, said(5, 10), said(20, 24))
    assert found == [(0.3, 4.7), (10.3, 19.7), (24.3, 29.2)]


def test_nothing_said_is_all_unheard() -> None:
    assert again(window((3, 9))) == [(2.8, 9.2)]


def test_padding_stays_inside_the_window() -> None:
    assert again(window((0.1, 29.95))) == [(0.0, 30.0)]


def test_a_little_speech_without_text_is_left_alone() -> None:
    at_most = BORDER_SECONDS + UNHEARD_MIN_SECONDS
    assert again(window((0, 10)), said(0, 10 - at_most + 0.01)) == []
    assert again(window((0, 10)), said(0, 10 - at_most - 0.01)) != []


def test_silence_without_text_is_left_alone() -> None:
    assert again(window((0, 4), (26, 29)), said(0, 4), said(26, 29)) == []


def test_sentences_with_a_short_pause_are_heard_again_together() -> None:
    assert again(window((5, 6.5), (7.4, 9), (14, 17))) == [(4.8, 9.2), (13.8, 17.2)]


def test_what_a_thin_segment_stands_for_is_heard_again_instead_of_it() -> None:
    """Whisper can put twenty seconds of speech into a segment of one word."""
    thin = said(0, 20, "Yes, yes.")
    [found] = missed(window((0, 20)), [thin, said(20, 29)])
    assert (from_start(found.stretch), found.thin) == ((0.0, 20.2), thin)


def test_a_thin_segment_is_heard_again_in_its_parts() -> None:
    thin = said(0, 20, "Yes, yes.")
    found = missed(window((0, 6), (7, 12), (12.2, 20), (21, 29)), [thin, said(20, 29)])
    assert [from_start(one.stretch) for one in found] == [(0.0, 6.5), (6.5, 20.2)]
    assert {one.thin for one in found} == {thin}


def test_a_segment_is_thin_by_its_speech_not_by_its_length() -> None:
    assert again(window((0, 2), (18, 20)), said(0, 20, "Well, the sea.")) == []
    assert again(window((0, 8), (12, 20)), said(0, 20, "Well, the sea.")) != []


@pytest.mark.parametrize("seconds", [3.0, 10.0])
def test_a_segment_may_say_a_little_less_than_its_speech(seconds: float) -> None:
    enough = round((seconds - UNHEARD_MIN_SECONDS) * SLOWEST_BYTES_PER_SECOND)
    assert again(window((0, seconds)), said(0, seconds, "x" * (enough + 1))) == []
    assert again(window((0, seconds)), said(0, seconds, "x" * (enough - 1))) != []


def test_only_so_much_can_be_said_in_a_time() -> None:
    stretch = Stretch(10.0, 12.0)
    most = int(2 * FASTEST_CHARACTERS_PER_SECOND)
    assert not is_too_fast("x" * most, stretch)
    assert is_too_fast("x" * (most + 1), stretch)
    # A letter is a letter, however many bytes it takes.
    assert not is_too_fast("ж" * most, stretch)


def test_what_is_spoken_of_a_stretch_lies_within_it() -> None:
    speech = [Stretch(0, 3), Stretch(4, 5), Stretch(7, 9), Stretch(10, 11)]
    assert spoken_seconds(speech, Stretch(2, 8)) == 3
    assert spoken_seconds(speech, Stretch(5.5, 6.5)) == 0
    assert spoken_seconds([], Stretch(2, 8)) == 0


def test_chinese_says_more_with_fewer_characters() -> None:
    chinese = said(0, 6, "一份完整的文字稿不能代替")
    assert again(window((0, 6)), chinese) == []


def test_segments_in_any_order_and_across_each_other_account_alike() -> None:
    where = window((0, 12), (13, 29))
    segments = said(14, 29), said(2, 9), said(0, 6), said(8, 12)
    assert again(where, *segments) == again(where, *segments[::-1]) == []


def test_all_that_is_missed_comes_in_order() -> None:
    thin = said(12, 20, "Yes.")
    found = missed(window((0, 10), (12, 20), (21, 29)), [thin])
    assert [one.thin for one in found] == [None, thin, None]
    assert [from_start(one.stretch) for one in found] == [(0.0, 10.2), (11.8, 20.2), (20.8, 29.2)]


def test_a_window_is_cut_at_its_pauses_into_parts_that_are_not_too_short() -> None:
    where = window((0, 5), (5.5, 6.5), (7.5, 12), (12.3, 20), (21, 28), (28.5, 29.8))
    assert list(map(from_start, parts(where))) == [(0, 5.25), (5.25, 20.5), (20.5, 30)]


def test_a_window_without_a_pause_is_not_cut() -> None:
    assert parts(window((0, 29))) == []
    assert parts(window((0, 10), (10 + PART_PAUSE_SECONDS - 0.01, 29))) == []
    assert parts(window((0, PART_MIN_SECONDS - 0.5), (PART_MIN_SECONDS, 29))) == []
    assert parts(window()) == []


edges = st.lists(st.integers(0, 300), max_size=16, unique=True).map(sorted)
stretches = edges.map(
    lambda at: [(a / 10, b / 10) for a, b in zip(at[::2], at[1::2], strict=False)]
)
texts = st.lists(
    st.tuples(st.integers(0, 290), st.integers(1, 200), st.integers(1, 60)).map(
        lambda text: said(text[0] / 10, min(sum(text[:2]), 300) / 10, "x" * text[2])
    )
)


@settings(deadline=None)
@given(stretches)
def test_parts_are_the_whole_window(speech: list[tuple[float, float]]) -> None:
    where = window(*speech)
    found = parts(where)
    assert len(found) != 1
    if found:
        assert found[0].start_seconds == where.start_seconds
        assert found[-1].end_seconds == where.end_seconds
    for before, after in pairwise(found):
        assert before.end_seconds == after.start_seconds
        assert not any(a < before.end_seconds - START < b for a, b in speech), "cut into speech"
    assert all(part.seconds >= PART_MIN_SECONDS for part in found)


def spoken(where: Window, first: float, last: float) -> float:
    return sum(stretch.seconds for stretch in where.part(Stretch(first, last)).speech)


@settings(deadline=None)
@given(stretches, texts)
def test_all_speech_is_told_or_heard_again(
    speech: list[tuple[float, float]], segments: list[Segment]
) -> None:
    where = window(*speech)
    found = missed(where, segments)
    for one in found:
        assert where.start_seconds <= one.stretch.start_seconds < one.stretch.end_seconds
        assert one.stretch.end_seconds <= where.end_seconds
        assert one.stretch.seconds >= UNHEARD_MIN_SECONDS
    # Every two seconds of speech that no text comes near are heard again.
    for a, b in speech:
        for first in np.arange(START + a, START + b - UNHEARD_MIN_SECONDS, 0.5):
            last = first + UNHEARD_MIN_SECONDS
            near = any(
                text.start_seconds - BORDER_SECONDS < last
                and first < text.end_seconds + BORDER_SECONDS
                for text in segments
            )
            assert near or any(covers(one, first, last) for one in found), (first, last)
    # So is all that a text is too short for.
    for text in segments:
        said_seconds = len(text.text) / SLOWEST_BYTES_PER_SECOND
        speech_seconds = spoken(where, text.start_seconds, text.end_seconds)
        instead = [one.stretch for one in found if one.thin == text]
        assert bool(instead) is (speech_seconds - said_seconds >= UNHEARD_MIN_SECONDS)
        if instead:
            assert instead[0].start_seconds <= text.start_seconds
            assert instead[-1].end_seconds >= text.end_seconds


def covers(one: Missed, first: float, last: float) -> bool:
    return one.stretch.start_seconds <= first and last <= one.stretch.end_seconds


@pytest.mark.parametrize("seconds", [2.0, 5.0])
def test_what_is_heard_again_is_the_speech_and_its_surroundings(seconds: float) -> None:
    [found] = missed(window((10, 10 + seconds)), [])
    assert found.stretch.seconds == pytest.approx(seconds + 2 * PADDING_SECONDS)
    assert found.thin is None
