"""Words and their times, from where Whisper's alignment heads attend to.

The method is that of openai/whisper, timing.py: `find_alignment` and `add_word_timestamps`.
"""

import math
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from neuron_worker.transcript import Word
from neuron_worker.whisper.timestamps import Span

FRAMES_PER_SECOND = 50
"""Of the encoder's output: 1,500 in 30 s (timing.py, `TOKENS_PER_SECOND`)."""

MEDIAN_FRAMES = 7
"""Attention is smoothed by the median of this many frames (timing.py, `medfilt_width`)."""

UNSPACED_LANGUAGES = frozenset({"ja", "lo", "my", "th", "yue", "zh"})
"""They put no spaces between words (openai/whisper, tokenizer.py, `split_to_word_tokens`)."""

PREPENDED = "\"'“¿([{-"
"""Punctuation that belongs to the word behind it (timing.py, `prepend_punctuations`)."""

APPENDED = "\"'.。,，!！?？:：”)]}、"
"""Punctuation that belongs to the word before it (timing.py, `append_punctuations`)."""

SENTENCE_ENDS = frozenset(".。!！?？")
"""Beside one of these, a long word has a pause in it (timing.py, `sentence_end_marks`)."""

USUAL_SECONDS_MAX = 0.7
"""However slowly one speaks, a word usually lasts no longer (timing.py, `median_duration`)."""

SPAN_TOLERANCE_SECONDS = 0.5
"""A word may reach so far out of the span that Whisper's own timestamps give it (timing.py)."""

Floats = npt.NDArray[np.floating]


@dataclass(slots=True)
class _Timed:
    """A word while its times, in seconds from the start of the window, are being found."""

    text: str
    start: float
    end: float
    probability: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


def words_of(
    weights: Floats,
    log_probabilities: Floats,
    spans: Sequence[Span],
    *,
    tokenizer: Tokenizer,
    language: str | None,
    window_start_seconds: float,
    window_seconds: float,
) -> list[tuple[Word, ...]]:
    """The words of each span of a window, whose spans were aligned together.

    `weights` [heads, tokens, 1500] and `log_probabilities` [tokens] are what the alignment gave
    for `aligned_tokens` of all spans' tokens; each row tells of the token after it. Words never go
    back, overlap or leave the window. Their texts keep their leading spaces: joined, they are the
    span's text. `language` is None for an English-only model.
    """
    count = sum(len(span.tokens) for span in spans)
    if count == 0:
        return [() for _ in spans]
    first = weights.shape[1] - count - 2
    frames = max(1, int(round(window_seconds * FRAMES_PER_SECOND, 3)))
    # Rows outside the text take part in the comparison of tokens, not in the alignment.
    starts = warp(_focus(weights[:, :, :frames])[first:-1]) / FRAMES_PER_SECOND
    probabilities = np.exp(log_probabilities[first : first + count])

    timed, at = list[list[_Timed]](), 0
    for span in spans:
        timed.append([])
        for text, length in split_words(tokenizer, span.tokens, language):
            word_probability = float(probabilities[at : at + length].mean())
            word = _Timed(text, float(starts[at]), float(starts[at + length]), word_probability)
            timed[-1].append(word)
            at += length

    everything = [word for words in timed for word in words]
    usual_seconds = _usual_seconds(everything)
    _shorten_beside_sentence_ends(everything, 2 * usual_seconds)
    # The path begins with the window, however late the first word does.
    spoken_until = -math.inf
    for index, span in enumerate(spans):
        timed[index] = words = [word for word in _punctuated(timed[index]) if word.text.strip()]
        if words:
            _shorten_beside_pauses(words, usual_seconds, spoken_until)
            _fit_to_span(words, span, usual_seconds)
            spoken_until = words[-1].end
    _put_in_order((word for words in timed for word in words), window_seconds)
    return [tuple(_word(word, window_start_seconds) for word in words) for words in timed]


def warp(benefit: Floats) -> npt.NDArray[np.int64]:
    """Dynamic time warping: the first frame of each token, given its benefit [tokens, frames].

    The path goes from the first token and frame to the last, each step to the next token, the next
    frame or both, so that the benefits along it sum up to the most.
    """
    tokens, frames = benefit.shape
    costs = np.full((tokens + 1, frames + 1), np.inf)
    costs[0, 0] = 0.0
    for row, along in enumerate(-benefit.astype(np.float64)):
        # A path enters this token at some frame and stays: cost up to there, less the sum before.
        sums = np.cumsum(along)
        entered = np.minimum(costs[row, :-1], costs[row, 1:])
        entered[1:] -= sums[:-1]
        costs[row + 1, 1:] = np.minimum.accumulate(entered) + sums

    first = np.empty(tokens, np.int64)
    token, frame = tokens, frames
    while token > 0:
        first[token - 1] = frame - 1
        stay, enter, both = (
            costs[token, frame - 1],
            costs[token - 1, frame],
            costs[token - 1, frame - 1],
        )
        if stay <= min(enter, both):
            frame -= 1
        elif enter < both:
            token -= 1
        else:
            token, frame = token - 1, frame - 1
    return first


def split_words(
    tokenizer: Tokenizer, tokens: Sequence[int], language: str | None
) -> list[tuple[str, int]]:
    """Each word's text and how many of the tokens it is made of.

    Words begin at spaces, and punctuation is a word; in a language without spaces, whatever is
    whole characters is a word (openai/whisper, tokenizer.py, `split_to_word_tokens`).
    """
    words = list[tuple[str, int]]()
    for text, count in _pieces(tokenizer, tokens):
        begins = text.startswith(" ") or text.strip() in string.punctuation
        if begins or not words or language in UNSPACED_LANGUAGES:
            words.append((text, count))
        else:
            words[-1] = (words[-1][0] + text, words[-1][1] + count)
    return words


def _pieces(tokenizer: Tokenizer, tokens: Sequence[int]) -> Iterator[tuple[str, int]]:
    """The text in the smallest pieces that are whole characters, with their counts of tokens."""
    whole: str = tokenizer.decode(list(tokens))
    at, pending = 0, list[int]()
    for token in tokens:
        pending.append(token)
        text: str = tokenizer.decode(pending)
        # Half a character decodes to a replacement, which the whole text does not have there.
        if text and whole.startswith(text, at):
            yield text, len(pending)
            at += len(text)
            pending = []
    if pending:
        yield whole[at:], len(pending)


def _focus(weights: Floats) -> Floats:
    """How much more each token attends to each frame than the others do: [tokens, frames]."""
    focus = np.zeros(weights.shape[1:], np.float32)
    for head in weights.astype(np.float32, copy=False):
        # The softmax went over 30 s; a shorter window's frames share what they got.
        shares = head / np.maximum(head.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
        deviation = shares.std(axis=0)
        deviation[deviation == 0] = 1.0
        focus += smooth((shares - shares.mean(axis=0)) / deviation)
    return focus / len(weights)


def smooth(rows: Floats) -> Floats:
    """The running median of `MEDIAN_FRAMES` frames of rows [tokens, frames], mirrored at the ends.

    The median of seven is the middle one, kept between the third and fourth of the other six;
    those come from the sorted threes on either side, which neighbouring frames share. That takes a
    fifth of the time of sorting every seven.
    """
    reach = MEDIAN_FRAMES // 2
    frames = rows.shape[1]
    if frames <= reach:
        return rows
    low, high = np.minimum, np.maximum
    padded = np.pad(rows, ((0, 0), (reach, reach)), mode="reflect")
    one, two, three = padded[:, :-2], padded[:, 1:-1], padded[:, 2:]
    less, more = low(one, two), high(one, two)
    threes = low(less, three), high(less, low(more, three)), high(more, three)
    a1, a2, a3 = (of[:, :frames] for of in threes)
    b1, b2, b3 = (of[:, reach + 1 :] for of in threes)
    third = low(low(a3, b3), low(high(a2, b1), high(a1, b2)))
    fourth = high(high(a1, b1), high(low(a2, b3), low(a3, b2)))
    smoothed: Floats = high(third, low(rows, fourth))
    return smoothed


def _usual_seconds(words: Sequence[_Timed]) -> float:
    lasting = [word.seconds for word in words if word.seconds > 0]
    return min(USUAL_SECONDS_MAX, float(np.median(lasting))) if lasting else 0.0


def _shorten_beside_sentence_ends(words: Sequence[_Timed], longest_seconds: float) -> None:
    for before, word in pairwise(words):
        if word.seconds > longest_seconds:
            if word.text in SENTENCE_ENDS:
                word.end = word.start + longest_seconds
            elif before.text in SENTENCE_ENDS:
                word.start = word.end - longest_seconds


def _punctuated(words: Sequence[_Timed]) -> list[_Timed]:
    """The same words with punctuation written to its word, whose times and probability stay."""
    behind = list[_Timed]()
    for word in reversed(words):
        if behind and word.text.startswith(" ") and word.text.strip() in PREPENDED:
            behind[-1].text = word.text + behind[-1].text
        else:
            behind.append(word)
    punctuated = list[_Timed]()
    for word in reversed(behind):
        if punctuated and word.text in APPENDED and not punctuated[-1].text.endswith(" "):
            punctuated[-1].text += word.text
        else:
            punctuated.append(word)
    return punctuated


def _shorten_beside_pauses(
    words: Sequence[_Timed], usual_seconds: float, spoken_until: float
) -> None:
    """After a pause, no silence belongs to the first two words of a span."""
    longest_seconds = 2 * usual_seconds
    first, second = words[0], words[1] if len(words) > 1 else None
    both_seconds = second.end - first.start if second else 0.0
    is_long = first.seconds > longest_seconds or both_seconds > 2 * longest_seconds
    if not is_long or first.end - spoken_until <= 4 * usual_seconds:
        return
    if second and second.seconds > longest_seconds:
        first.end = second.start = second.end - longest_seconds
    first.start = max(0.0, first.end - longest_seconds)


def _fit_to_span(words: Sequence[_Timed], span: Span, usual_seconds: float) -> None:
    """Where the first or last word reaches far out of its span, the span is right."""
    first, last = words[0], words[-1]
    if first.start < span.start_seconds - SPAN_TOLERANCE_SECONDS < span.start_seconds < first.end:
        first.start = min(first.end - usual_seconds, span.start_seconds)
    if last.start < span.end_seconds < span.end_seconds + SPAN_TOLERANCE_SECONDS < last.end:
        last.end = max(last.start + usual_seconds, span.end_seconds)


def _put_in_order(words: Iterator[_Timed], window_seconds: float) -> None:
    at = 0.0
    for word in words:
        word.start = min(max(word.start, at), window_seconds)
        word.end = at = min(max(word.end, word.start), window_seconds)


def _word(timed: _Timed, offset_seconds: float) -> Word:
    return Word(
        offset_seconds + timed.start, offset_seconds + timed.end, timed.text, timed.probability
    )
