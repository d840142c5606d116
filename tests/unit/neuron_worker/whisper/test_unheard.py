from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_worker.speech import SAMPLE_RATE, Stretch, Window
from neuron_worker.transcript import Segment
from neuron_worker.whisper.unheard import (
    BORDER_SECONDS,
    PADDING_SECONDS,
    UNHEARD_MIN_SECONDS,
    unheard,
)

START = 100.0
SAMPLES = np.zeros(30 * SAMPLE_RATE, np.float32)


def window(*speech: tuple[float, float]) -> Window:
    """30 s; speech in seconds from its start."""
    return Window(START, SAMPLES, tuple(Stretch(START + a, START + b) for a, b in speech))


def said(start: float, end: float, text: str | None = None) -> Segment:
    """A segment with a text as long as it takes to say, or the given one."""
    return Segment(START + start, START + end, text or "x" * int(12 * (end - start)), -0.2, 0.1)


def missed(where: Window, *segments: Segment) -> list[tuple[float, float]]:
    return [
        (round(s.start_seconds - START, 3), round(s.end_seconds - START, 3))
        for s in unheard(where, segments)
    ]


def test_what_segments_account_for_was_heard() -> None:
    assert missed(window((1, 10), (11, 29)), said(0.8, 10), said(10.5, 29.4)) == []


def test_speech_before_between_and_after_segments_is_heard_again_with_padding() -> None:
    where = window((0.5, 29))
    found = missed(where, said(5, 10), said(20, 24))
    assert found == [(0.3, 4.7), (10.3, 19.7), (24.3, 29.2)]


def test_nothing_said_is_all_unheard() -> None:
    assert missed(window((3, 9))) == [(2.8, 9.2)]


def test_padding_stays_inside_the_window() -> None:
    assert missed(window((0.1, 29.95))) == [(0.0, 30.0)]


def test_a_little_speech_without_text_is_left_alone() -> None:
    at_most = BORDER_SECONDS + UNHEARD_MIN_SECONDS
    assert missed(window((0, 10)), said(0, 10 - at_most + 0.01)) == []
    assert missed(window((0, 10)), said(0, 10 - at_most - 0.01)) != []


def test_silence_without_text_is_left_alone() -> None:
    assert missed(window((0, 4), (26, 29)), said(0, 4), said(26, 29)) == []


def test_sentences_with_a_short_pause_are_heard_again_together() -> None:
    assert missed(window((5, 6.5), (7.4, 9), (14, 17))) == [(4.8, 9.2), (13.8, 17.2)]


def test_a_short_text_accounts_for_no_more_speech_than_it_takes() -> None:
    """Whisper can put twenty seconds of speech into a segment of one word."""
    found = missed(window((0, 20)), said(0, 20, "Yes, yes."))
    assert found == [(3.3, 20.2)]


def test_slow_speech_and_chinese_are_no_gap() -> None:
    slow = said(0, 10, "Take … your … time … please …")
    assert missed(window((0, 10)), slow) == []
    chinese = said(0, 6, "一份完整的文字稿不能代替声音，它告诉你从哪里")
    assert missed(window((0, 6)), chinese) == []


def test_segments_in_any_order_and_across_each_other_account_alike() -> None:
    where = window((0, 12), (13, 29))
    segments = said(14, 29), said(2, 9), said(0, 6), said(8, 12)
    assert missed(where, *segments) == missed(where, *segments[::-1]) == []


edges = st.lists(st.integers(0, 300), max_size=16, unique=True).map(sorted)


@settings(deadline=None)
@given(edges, st.lists(st.tuples(st.integers(0, 290), st.integers(1, 200), st.integers(0, 60))))
def test_all_speech_is_told_or_heard_again(
    speech: list[int], segments: list[tuple[int, int, int]]
) -> None:
    stretches = [(a / 10, b / 10) for a, b in zip(speech[::2], speech[1::2], strict=False)]
    where = window(*stretches)
    texts = [said(a / 10, min(a + b, 300) / 10, "x" * count) for a, b, count in segments]
    texts = [text for text in texts if text.text]
    found = unheard(where, texts)
    for before, after in pairwise(found):
        assert before.end_seconds < after.start_seconds
    for again in found:
        assert where.start_seconds <= again.start_seconds
        assert again.end_seconds <= where.end_seconds
        assert again.seconds >= UNHEARD_MIN_SECONDS
    covered = [
        (text.start_seconds, min(text.end_seconds, text.start_seconds + len(text.text) / 3))
        for text in texts
    ]
    # Every two seconds of speech that no text comes near are heard again.
    for a, b in stretches:
        for first in np.arange(START + a, START + b - UNHEARD_MIN_SECONDS, 0.5):
            last = first + UNHEARD_MIN_SECONDS
            near = any(s - BORDER_SECONDS < last and first < e + BORDER_SECONDS for s, e in covered)
            again = any(f.start_seconds <= first and last <= f.end_seconds for f in found)
            assert near or again, (first, last)


@pytest.mark.parametrize("seconds", [2.0, 5.0])
def test_what_is_heard_again_is_the_speech_and_its_surroundings(seconds: float) -> None:
    [found] = unheard(window((10, 10 + seconds)), [])
    assert found.seconds == pytest.approx(seconds + 2 * PADDING_SECONDS)
