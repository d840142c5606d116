"""Timestamp tokens: the rules for choosing them, and the spans of text that they mark."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neuron_worker.whisper.tokens import SpecialTokens

TIME_PRECISION_SECONDS = 0.02
"""From one timestamp token to the next (arXiv 2212.04356, section 2.3)."""


def forbid_by_time(
    logits: Tensor,
    chosen: Sequence[Sequence[int]],
    special: SpecialTokens,
    max_initial_timestamp_index: int,
) -> None:
    """Set to -inf in `logits` [B, vocabulary] every token that would break a rule of time.

    A row starts with a timestamp, at most `max_initial_timestamp_index`; timestamps come in pairs,
    but at the end; they never go back, and a segment is never empty; and where all timestamps
    together are likelier than any one other token, it is a timestamp. These are the rules of
    openai/whisper's `ApplyTimestampRules` and transformers' `WhisperTimeStampLogitsProcessor`.
    `chosen` are each row's tokens so far; `<|notimestamps|>` must be suppressed already.
    """
    begin = special.timestamp_begin
    text, stamps = logits[:, :begin], logits[:, begin:]
    for row, before in enumerate(chosen):
        if not before:
            text[row] = -torch.inf
            stamps[row, max_initial_timestamp_index + 1 :] = -torch.inf
            continue
        latest = next((token for token in reversed(before) if token >= begin), None)
        after_single = False
        if before[-1] >= begin:
            after_single = len(before) > 1 and before[-2] < begin
            if after_single:
                text[row, : special.end_of_text] = -torch.inf
            else:
                stamps[row] = -torch.inf
        if latest is not None:
            stamps[row, : latest - begin + (not after_single)] = -torch.inf
    for row in (stamps.logsumexp(dim=-1) > text.amax(dim=-1)).nonzero().flatten().tolist():
        text[row] = -torch.inf


@dataclass(frozen=True, slots=True)
class Span:
    """Text tokens between two timestamps, in seconds from the start of the window."""

    start_seconds: float
    end_seconds: float
    tokens: tuple[int, ...]


def spans(tokens: Sequence[int], special: SpecialTokens, window_seconds: float) -> Iterator[Span]:
    """The spans that a window's tokens mark; text that no timestamp closes ends with the window.

    All times are inside the window, and a span lasts at least one timestamp step (or as long as a
    shorter window).
    """
    start, text = 0.0, list[int]()
    for token in (*tokens, None):
        if token is not None and token < special.timestamp_begin:
            text.append(token)
            continue
        time = window_seconds
        if token is not None:
            time = (token - special.timestamp_begin) * TIME_PRECISION_SECONDS
        if text:
            yield _inside(Span(start, time, tuple(text)), window_seconds)
            text = []
        start = time


def unheard_from(tokens: Sequence[int], special: SpecialTokens) -> float | None:
    """Where the decoder stopped although speech goes on: seconds from the start of the window.

    It ends with one timestamp when nothing is said after it, and with two when something is: the
    second begins a segment that it left for the next window (openai/whisper, transcribe.py,
    `single_timestamp_ending`). None in all other cases.
    """
    ending = tokens[-2:]
    if len(ending) < 2 or min(ending) < special.timestamp_begin:
        return None
    return (ending[-1] - special.timestamp_begin) * TIME_PRECISION_SECONDS


def left_for_later(
    tokens: Sequence[int], special: SpecialTokens, min_seconds: float
) -> tuple[int, ...]:
    """What a decoder that was cut short finished, as if it had left the rest for later.

    So it ends with two timestamps (see `unheard_from`). Dense speech takes more tokens than a row
    may choose; openai/whisper, too, hears again from the last timestamp on (transcribe.py,
    `last_timestamp_pos`). All is kept where less than `min_seconds` are finished.
    """
    begin = special.timestamp_begin
    last = max((index for index, token in enumerate(tokens) if token >= begin), default=0)
    if last == 0 or (tokens[last] - begin) * TIME_PRECISION_SECONDS < min_seconds:
        return tuple(tokens)
    return (*tokens[: last + 1], tokens[last])


def _inside(span: Span, window_seconds: float) -> Span:
    latest_start = max(0.0, window_seconds - TIME_PRECISION_SECONDS)
    start = min(span.start_seconds, latest_start)
    end = max(span.end_seconds, start + TIME_PRECISION_SECONDS)
    return Span(start, min(end, window_seconds), span.tokens)
