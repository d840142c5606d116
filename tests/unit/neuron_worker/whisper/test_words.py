from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers.models.whisper.generation_whisper import _median_filter

from neuron_worker.speech import SAMPLE_RATE
from neuron_worker.transcript import Word
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.timestamps import Span
from neuron_worker.whisper.words import smooth, split_words, warp, words_of

Floats = npt.NDArray[np.float32]


def timed(
    weights: Floats,
    log_probabilities: Floats,
    spans: Sequence[Span],
    tokenizer: Tokenizer,
    window_seconds: float,
    window_start_seconds: float = 0.0,
    language: str | None = None,
) -> list[tuple[Word, ...]]:
    return words_of(
        weights,
        log_probabilities,
        spans,
        tokenizer=tokenizer,
        language=language,
        window_start_seconds=window_start_seconds,
        window_seconds=window_seconds,
    )


@pytest.fixture(scope="module")
def tokenizer(tiny_en: Checkpoint) -> Tokenizer:
    return tiny_en.tokenizer


def best_path(benefit: npt.NDArray[np.float64]) -> list[int]:
    """The plain recursion: the first frame of each token on the path of most benefit."""
    tokens, frames = benefit.shape
    best = np.full((tokens + 1, frames + 1), -np.inf)
    best[0, 0] = 0.0
    for token in range(1, tokens + 1):
        for frame in range(1, frames + 1):
            before = max(best[token - 1, frame - 1], best[token - 1, frame], best[token, frame - 1])
            best[token, frame] = before + benefit[token - 1, frame - 1]
    first, token, frame = [0] * tokens, tokens, frames
    while token:
        first[token - 1] = frame - 1
        enter, both = best[token - 1, frame], best[token - 1, frame - 1]
        if best[token, frame - 1] >= max(enter, both):
            frame -= 1
        else:
            token, frame = token - 1, frame - (both >= enter)
    return first


@settings(deadline=None, max_examples=200)
@given(
    tokens=st.integers(1, 12),
    frames=st.integers(1, 30),
    seed=st.integers(0, 2**32),
    whole=st.booleans(),
)
def test_warping_takes_the_best_path(tokens: int, frames: int, seed: int, whole: bool) -> None:
    random = np.random.default_rng(seed)
    benefit = random.normal(size=(tokens, frames))
    if whole:
        # Whole numbers have ties, and no rounding.
        benefit = np.round(benefit)
    assert warp(benefit).tolist() == best_path(benefit)


@settings(deadline=None)
@given(rows=st.integers(1, 4), frames=st.integers(1, 40), seed=st.integers(0, 2**32))
def test_smoothing_is_transformers_median(rows: int, frames: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 9, (rows, frames)).astype(np.float32)
    theirs = _median_filter(torch.from_numpy(values)[None], 7)[0].numpy()
    assert np.array_equal(smooth(values), theirs)


def attention(tokens: int, starts: Sequence[int], frames: int = 1500) -> tuple[Floats, Floats]:
    """What tiny.en would attend to if each token sounded from its start to the next one's.

    The last start is where the text ends; all tokens are certain.
    """
    weights = np.full((2, tokens + 3, frames), 1e-4, np.float32)
    for row, (start, end) in enumerate(pairwise((*starts, frames)), start=1):
        weights[:, row, start:end] = 1.0
    return weights, np.zeros(tokens + 3, np.float32)


def spoken(
    tokenizer: Tokenizer,
    parts: Sequence[tuple[str, int]],
    *,
    end: int,
    span_seconds: tuple[float, float] = (0.0, 30.0),
    window_seconds: float = 30.0,
) -> list[tuple[str, float, float]]:
    """The words of one span, whose one-token parts begin at the given frames."""
    tokens = [tokenizer.encode(text, add_special_tokens=False).ids for text, _ in parts]
    assert [len(ids) for ids in tokens] == [1] * len(parts)
    span = Span(*span_seconds, tuple(ids[0] for ids in tokens))
    weights, certain = attention(len(parts), [*(start for _, start in parts), end])
    (words,) = timed(weights, certain, [span], tokenizer, window_seconds)
    return [(word.text, round(word.start_seconds, 3), round(word.end_seconds, 3)) for word in words]


def test_words_begin_and_end_where_their_tokens_do(tokenizer: Tokenizer) -> None:
    parts = [(" Good", 0), (" mor", 30), ("row", 45), (" to", 60), (" you", 70)]
    assert spoken(tokenizer, parts, end=90) == [
        (" Good", 0.0, 0.6),
        (" morrow", 0.6, 1.2),
        (" to", 1.2, 1.4),
        (" you", 1.4, 1.8),
    ]


def test_punctuation_is_written_to_its_word_but_takes_no_time_of_it(tokenizer: Tokenizer) -> None:
    parts = [
        (" (", 0),
        (" Good", 10),
        (" day", 30),
        (",", 50),
        ('"', 55),
        (" he", 60),
        (" said", 80),
    ]
    assert spoken(tokenizer, parts, end=100) == [
        (" ( Good", 0.2, 0.6),
        (' day,"', 0.6, 1.0),
        (" he", 1.2, 1.6),
        (" said", 1.6, 2.0),
    ]


def test_a_word_after_a_sentence_is_without_the_pause_before_it(tokenizer: Tokenizer) -> None:
    parts = [(" One", 0), (" two", 20), (" three", 40), (".", 60), (" Four", 64), (" five", 164)]
    assert spoken(tokenizer, parts, end=184)[3] == (" Four", 2.48, 3.28)


def test_the_first_word_is_without_the_pause_before_it(tokenizer: Tokenizer) -> None:
    parts = [(" One", 0), (" two", 200), (" three", 220), (" four", 240)]
    assert spoken(tokenizer, parts, end=260)[0] == (" One", 3.2, 4.0)


def test_a_last_word_ends_with_its_span_where_it_reaches_far_beyond_it(
    tokenizer: Tokenizer,
) -> None:
    parts = [(" One", 0), (" two", 20), (" three", 40), (" four", 60)]
    words = spoken(tokenizer, parts, end=400, span_seconds=(0.0, 1.9))
    assert words[-1] == (" four", 1.2, 1.9)


def test_a_first_word_begins_with_its_span_where_it_reaches_far_before_it(
    tokenizer: Tokenizer,
) -> None:
    parts = [(" One", 0), (" two", 35), (" three", 55), (" four", 75)]
    words = spoken(tokenizer, parts, end=95, span_seconds=(0.55, 1.9))
    assert words[0] == (" One", 0.3, 0.7)


def test_a_slow_word_that_lasts_into_the_next_span_delays_that(tokenizer: Tokenizer) -> None:
    texts = [" One two three four", " five six"]
    first, second = (tokenizer.encode(text, add_special_tokens=False).ids for text in texts)
    spans = [Span(0.0, 2.0, tuple(first)), Span(2.5, 4.0, tuple(second))]
    weights, certain = attention(6, [0, 33, 66, 99, 126, 159, 192])
    before, after = timed(weights, certain, spans, tokenizer, 30.0)
    # Four should end with its span at 2.0 s, but a word usually lasts 0.66 s here.
    assert before[-1].end_seconds == pytest.approx(1.98 + 0.66)
    assert after[0].start_seconds == before[-1].end_seconds
    assert after[0].end_seconds == pytest.approx(3.18)


def test_a_word_is_as_likely_as_its_tokens_on_average(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(" Good morrow", add_special_tokens=False).ids
    assert len(tokens) == 3
    weights, log_probabilities = attention(3, [0, 20, 30, 40])
    log_probabilities[:] = np.log([0.01, 0.9, 0.8, 0.5, 0.01, 0.01])
    (words,) = timed(weights, log_probabilities, [Span(0.0, 1.0, tuple(tokens))], tokenizer, 30.0)
    assert [word.probability for word in words] == pytest.approx([0.9, 0.65])


def test_words_belong_to_their_spans_and_count_from_the_start_of_the_audio(
    tokenizer: Tokenizer,
) -> None:
    texts = [" Good day", ' "Well', " done"]
    spans = [
        Span(at, at + 1.0, tuple(tokenizer.encode(text, add_special_tokens=False).ids))
        for at, text in enumerate(texts)
    ]
    weights, certain = attention(5, [0, 20, 45, 50, 100, 130])
    words = timed(weights, certain, spans, tokenizer, 30.0, window_start_seconds=600.0)
    assert [[word.text for word in span] for span in words] == [
        [" Good", " day"],
        [' "Well'],
        [" done"],
    ]
    assert [span[0].start_seconds for span in words] == pytest.approx([600.0, 600.9, 602.0])


def test_frames_beyond_a_short_window_do_not_count(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(" Good day", add_special_tokens=False).ids
    weights, certain = attention(2, [0, 20, 40])
    (expected,) = timed(weights, certain, [Span(0.0, 1.0, tuple(tokens))], tokenizer, 1.0)
    # Nearly all of the first token's attention went to the silence that fills up the 30 s.
    weights[:, 1, 50:] = 1e5
    weights /= weights.sum(axis=2, keepdims=True)
    (words,) = timed(weights, certain, [Span(0.0, 1.0, tuple(tokens))], tokenizer, 1.0)
    assert words == expected
    assert words[0].end_seconds == pytest.approx(0.4)


def test_spans_without_text_have_no_words(tokenizer: Tokenizer) -> None:
    weights, certain = attention(0, [0])
    assert timed(weights, certain, [], tokenizer, 30.0) == []
    assert timed(weights, certain, [Span(0.0, 1.0, ())], tokenizer, 30.0) == [()]


@settings(deadline=None, max_examples=60)
@given(
    texts=st.lists(st.text('abc. ,!-"(é漢🙂', min_size=1, max_size=15), min_size=1, max_size=4),
    seed=st.integers(0, 2**32),
    window_frames=st.integers(1, 300),
    sharpness=st.sampled_from([0.0, 1.0, 30.0]),
    language=st.sampled_from([None, "en", "ja"]),
)
def test_words_never_go_back_overlap_or_leave_the_window(
    tokenizer: Tokenizer,
    texts: list[str],
    seed: int,
    window_frames: int,
    sharpness: float,
    language: str | None,
) -> None:
    random = np.random.default_rng(seed)
    window_seconds = window_frames * 320 / SAMPLE_RATE
    spans = []
    for text in texts:
        start, end = np.sort(random.uniform(0, window_seconds, 2)).tolist()
        tokens = tokenizer.encode(f" {text}", add_special_tokens=False).ids
        spans.append(Span(start, end, tuple(tokens)))
    count = sum(len(span.tokens) for span in spans)
    scores = random.normal(size=(3, count + 3, 1500)) * sharpness
    weights = torch.from_numpy(scores).softmax(dim=-1).float().numpy()
    certain = np.zeros(count + 3, np.float32)
    found = timed(weights, certain, spans, tokenizer, window_seconds, 7.5, language)
    times = [
        time for words in found for word in words for time in (word.start_seconds, word.end_seconds)
    ]
    assert times == sorted(times)
    assert all(7.5 <= time <= 7.5 + window_seconds for time in times)
    for text, words in zip(texts, found, strict=True):
        assert "".join(word.text for word in words).split() == text.split()


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        (" Mr. O'Neil's yacht", "en", [" Mr", ".", " O", "'Neil's", " yacht"]),
        (" 3.5 km, ok?", None, [" 3", ".5", " km", ",", " ok", "?"]),
        ("時間です。", "ja", ["時", "間", "で", "す", "。"]),
        (" naïve 🙂🙂", "en", [" naïve", " 🙂🙂"]),
        ("🙂🙂", "zh", ["🙂", "🙂"]),
    ],
)
def test_texts_split_into_words(
    text: str, language: str | None, expected: list[str], tokenizer: Tokenizer
) -> None:
    tokens = tokenizer.encode(text, add_special_tokens=False).ids
    words = split_words(tokenizer, tokens, language)
    assert [word for word, _ in words] == expected
    assert sum(count for _, count in words) == len(tokens)


@settings(deadline=None)
@given(text=st.text(max_size=20), kept=st.floats(0.2, 1.0), language=st.sampled_from(["en", "zh"]))
def test_no_text_is_lost_where_a_character_is_cut(
    tokenizer: Tokenizer, text: str, kept: float, language: str
) -> None:
    tokens = tokenizer.encode(text, add_special_tokens=False).ids
    tokens = tokens[: round(len(tokens) * kept)]
    words = split_words(tokenizer, tokens, language)
    assert "".join(word for word, _ in words) == tokenizer.decode(tokens)
    assert sum(count for _, count in words) == len(tokens)
