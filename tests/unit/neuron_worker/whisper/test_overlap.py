import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from neuron_worker.transcript import Segment, Word
from neuron_worker.whisper.overlap import cut_overlap

FEW_WORDS = ("no", "No,", "yes", "and", "the", "boat.")
"""So few that texts made of them repeat themselves everywhere."""


def a_segment(words: Sequence[Word], *, with_times: bool = True) -> Segment:
    return Segment(
        start_seconds=words[0].start_seconds,
        end_seconds=words[-1].end_seconds,
        text="".join(word.text for word in words).strip(),
        average_log_probability=-0.25,
        no_speech_probability=0.01,
        words=tuple(words) if with_times else (),
    )


def segments_of(
    words: Sequence[Word], cuts: Iterable[int], *, with_times: bool = True
) -> list[Segment]:
    """The words in segments that begin anew at the cuts."""
    borders = sorted({0, len(words), *(cut for cut in cuts if cut < len(words))})
    return [a_segment(words[i:j], with_times=with_times) for i, j in pairwise(borders)]


def spoken(text: str, *, pace: float = 0.3, start: float = 0.0) -> list[Word]:
    """The words of a text, one every `pace` seconds, with a tenth of that between them."""
    return [
        Word(start + i * pace, start + (i + 0.9) * pace, f" {word}", 0.9)
        for i, word in enumerate(text.split())
    ]


def read(*sides: Sequence[Segment]) -> list[str]:
    return [word for side in sides for segment in side for word in segment.text.split()]


def assert_in_order(*sides: Sequence[Segment]) -> None:
    segments = [segment for side in sides for segment in side]
    times = [time for one in segments for time in (one.start_seconds, one.end_seconds)]
    assert times == sorted(times)
    for segment in segments:
        for word in segment.words:
            assert segment.start_seconds <= word.start_seconds <= word.end_seconds
            assert word.end_seconds <= segment.end_seconds
        if segment.words:
            assert "".join(word.text for word in segment.words).strip() == segment.text


@st.composite
def overlapping(
    draw: st.DrawFn, texts: st.SearchStrategy[list[str]]
) -> tuple[list[Word], int, int]:
    """A text with times, where the later window begins in it, and where the earlier one ends."""
    said = draw(texts)
    lengths = st.lists(st.floats(0.1, 0.8), min_size=2 * len(said), max_size=2 * len(said))
    times = list(accumulate(draw(lengths), initial=draw(st.floats(0, 1000))))
    words = [
        Word(start, end, f" {text}", 0.9)
        for text, start, end in zip(said, times[::2], times[1::2], strict=False)
    ]
    begin = draw(st.integers(0, len(words) - 1))
    return words, begin, draw(st.integers(begin + 1, len(words)))


few_words = st.lists(st.sampled_from(FEW_WORDS), min_size=1, max_size=25)
unique_words = st.lists(
    st.text("abcde", min_size=1, max_size=8), min_size=1, max_size=25, unique=True
)
cuts = st.sets(st.integers(1, 24), max_size=4)


@settings(deadline=None, max_examples=200)
@given(said=overlapping(few_words), cuts=cuts, other_cuts=cuts)
def test_a_text_that_two_windows_heard_reads_once(
    said: tuple[list[Word], int, int], cuts: set[int], other_cuts: set[int]
) -> None:
    words, begin, end = said
    earlier, later = cut_overlap(
        segments_of(words[:end], cuts),
        segments_of(words[begin:], other_cuts),
        words[begin].start_seconds,
        words[end - 1].end_seconds,
    )
    assert [word for segment in (*earlier, *later) for word in segment.words] == words
    assert_in_order(earlier, later)


@settings(deadline=None, max_examples=200)
@given(
    said=overlapping(few_words),
    cuts=cuts,
    other_cuts=cuts,
    place=st.integers(0, 24),
    side=st.booleans(),
)
def test_a_word_that_one_window_misheard_costs_no_other(
    said: tuple[list[Word], int, int], cuts: set[int], other_cuts: set[int], place: int, side: bool
) -> None:
    words, begin, end = said
    wrong = begin + place % (end - begin)
    misheard = [*words]
    misheard[wrong] = replace(words[wrong], text=" cabbage")
    first, second = (misheard, words) if side else (words, misheard)
    earlier, later = cut_overlap(
        segments_of(first[:end], cuts),
        segments_of(second[begin:], other_cuts),
        words[begin].start_seconds,
        words[end - 1].end_seconds,
    )
    merged = [word for segment in (*earlier, *later) for word in segment.words]
    assert merged in (words, misheard)
    assert_in_order(earlier, later)


@settings(deadline=None, max_examples=200)
@given(said=overlapping(unique_words), cuts=cuts, other_cuts=cuts)
def test_words_without_times_read_once(
    said: tuple[list[Word], int, int], cuts: set[int], other_cuts: set[int]
) -> None:
    words, begin, end = said
    earlier, later = cut_overlap(
        segments_of(words[:end], cuts, with_times=False),
        segments_of(words[begin:], other_cuts, with_times=False),
        words[begin].start_seconds,
        words[end - 1].end_seconds,
    )
    assert read(earlier, later) == [word.text.strip() for word in words]
    assert_in_order(earlier, later)


def moved(word: Word, by: float) -> Word:
    return replace(word, start_seconds=word.start_seconds + by, end_seconds=word.end_seconds + by)


@settings(deadline=None, max_examples=200)
@given(said=overlapping(unique_words), by=st.floats(-0.3, 0.3), with_times=st.booleans())
def test_windows_may_time_the_same_words_a_little_differently(
    said: tuple[list[Word], int, int], by: float, with_times: bool
) -> None:
    words, begin, end = said
    assume(end - begin > 1)
    earlier, later = cut_overlap(
        segments_of(words[:end], ()),
        segments_of([moved(word, by) for word in words[begin:]], (), with_times=with_times),
        words[begin].start_seconds,
        words[end - 1].end_seconds,
    )
    assert read(earlier, later) == [word.text.strip() for word in words]
    assert_in_order(earlier, later)


@pytest.mark.parametrize(
    ("ahead", "behind", "merged"),
    [
        (
            Segment(7.4, 12.0, "Last summer, a small team began to come.", -0.25, 0.01),
            Segment(10.0, 14.4, "Last summer, a small team began to copy every tape.", -0.25, 0.01),
            "Last summer, a small team began to copy every tape.",
        ),
        (
            Segment(15.2, 20.1, "The work was slow. Reading is much faster.", -0.25, 0.01),
            Segment(18.1, 21.5, "Reading is much faster than listening.", -0.25, 0.01),
            "The work was slow. Reading is much faster than listening.",
        ),
    ],
    ids=["a word cut short", "a sentence cut short"],
)
def test_what_whisper_makes_of_a_window_that_ends_in_speech_reads_well(
    ahead: Segment, behind: Segment, merged: str
) -> None:
    earlier, later = cut_overlap([ahead], [behind], behind.start_seconds, ahead.end_seconds)
    assert " ".join(read(earlier, later)) == merged


def test_case_and_punctuation_do_not_matter() -> None:
    earlier, later = cut_overlap(
        [a_segment(spoken("We went to the HARBOUR, and"))],
        [a_segment(spoken("To the harbour and back.", start=0.6))],
        0.6,
        1.8,
    )
    assert " ".join(read(earlier, later)) == "We went to the harbour and back."


def test_the_cut_is_where_most_words_agree_in_a_row() -> None:
    earlier, later = cut_overlap(
        [a_segment(spoken("so the cat sat on mats"))],
        [a_segment(spoken("the dog sat on mats now", start=0.3))],
        0.3,
        1.8,
    )
    assert " ".join(read(earlier, later)) == "so the cat sat on mats now"


def test_where_nothing_agrees_the_cut_is_in_the_middle_of_the_overlap() -> None:
    earlier, later = cut_overlap(
        [a_segment(spoken("one two three four"))],
        [a_segment(spoken("drei vier fünf sechs", start=0.6))],
        0.6,
        1.2,
    )
    assert " ".join(read(earlier, later)) == "one two three vier fünf sechs"


@pytest.mark.parametrize("with_times", [True, False])
def test_words_that_only_one_window_has_stay(with_times: bool) -> None:
    ahead = [a_segment(spoken("one two"), with_times=with_times)]
    behind = [a_segment(spoken("three four", start=0.7), with_times=with_times)]
    assert cut_overlap(ahead, behind, 0.3, 2.3) == (tuple(ahead), tuple(behind))
    assert cut_overlap(ahead, [], 0.3, 2.3) == (tuple(ahead), ())
    assert cut_overlap([], behind, 0.3, 2.3) == ((), tuple(behind))


def test_segments_that_the_cut_leaves_whole_stay_as_they_are() -> None:
    words = spoken(" ".join(f"word{index}" for index in range(12)))
    ahead = segments_of(words[:9], [3])
    behind = segments_of(words[6:], [4])
    earlier, later = cut_overlap(ahead, behind, words[6].start_seconds, words[8].end_seconds)
    assert earlier[0] is ahead[0]
    assert later[-1] is behind[-1]
    assert earlier[1] == replace(
        ahead[1],
        end_seconds=words[7].end_seconds,
        text="word3 word4 word5 word6 word7",
        words=tuple(words[3:8]),
    )
    assert later[0] == replace(
        behind[0],
        start_seconds=words[8].start_seconds,
        text="word8 word9",
        words=tuple(words[8:10]),
    )


@pytest.mark.parametrize(
    ("ahead", "behind", "merged"),
    [
        (
            "昨日は港へ行きました。今日は",
            "ました。今日は雨です。",
            "昨日は港へ行きました。今日は雨です。",
        ),
        ("เราไปที่", "ที่นี่", "เราไปที่นี่"),
    ],
    ids=["Japanese", "Thai"],
)
def test_scripts_without_spaces_are_cut_between_characters(
    ahead: str, behind: str, merged: str
) -> None:
    def a_text(text: str, start: float, end: float) -> Segment:
        return Segment(start, end, text, -0.25, 0.01)

    earlier, later = cut_overlap([a_text(ahead, 0, 5)], [a_text(behind, 3, 8)], 3.0, 5.0)
    assert "".join(segment.text for segment in (*earlier, *later)) == merged
    assert earlier
    assert not unicodedata.category(later[0].text[0]).startswith("M")


def test_times_that_cross_meet_in_the_middle() -> None:
    ahead = [Segment(0.0, 5.0, "one two", -0.25, 0.01)]
    behind = [Segment(4.0, 8.0, "drei vier", -0.25, 0.01)]
    earlier, later = cut_overlap(ahead, behind, 4.0, 5.0)
    assert (earlier[0].end_seconds, later[0].start_seconds) == (4.5, 4.5)
    assert read(earlier, later) == ["one", "two", "drei", "vier"]


def test_windows_that_do_not_overlap_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing overlaps"):
        cut_overlap([], [], 2.0, 2.0)
