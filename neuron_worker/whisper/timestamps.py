"""Timestamp tokens: the rules for choosing them, and the spans of text that they mark."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from neuron_worker.whisper.tokens import SpecialTokens

TIME_PRECISION_SECONDS = 0.02
"""From one timestamp token to the next (arXiv 2212.04356, section 2.3)."""

_NONE = -1


@dataclass(frozen=True, slots=True)
class Sampled:
    """What the rules need to know of the tokens each row has chosen so far, [B] int64 each.

    `last`, `penultimate` and `last_timestamp` are -1 while there is none.
    """

    count: Tensor
    last: Tensor
    penultimate: Tensor
    last_timestamp: Tensor

    @classmethod
    def nothing(cls, rows: int) -> Self:
        """No row has chosen any token."""
        none = torch.full((rows,), _NONE)
        return cls(torch.zeros(rows, dtype=torch.int64), none, none, none)

    def then(self, tokens: Tensor, timestamp_begin: int) -> "Sampled":
        """After each row chose one more token [B]."""
        is_timestamp = tokens >= timestamp_begin
        return Sampled(
            count=self.count + 1,
            last=tokens,
            penultimate=self.last,
            last_timestamp=torch.where(is_timestamp, tokens, self.last_timestamp),
        )


def timestamp_rules(
    logits: Tensor, sampled: Sampled, special: SpecialTokens, max_initial_timestamp_index: int
) -> Tensor:
    """The logits [B, vocabulary] with -inf for every token that would break a rule of time.

    A row starts with a timestamp, at most `max_initial_timestamp_index`; timestamps come in pairs,
    but at the end; they never go back, and a segment is never empty; and where all timestamps
    together are likelier than any one other token, it is a timestamp. These are the rules of
    openai/whisper's `ApplyTimestampRules` and transformers' `WhisperTimeStampLogitsProcessor`.
    """
    begin = special.timestamp_begin
    logits = logits.clone()
    logits[:, special.no_timestamps] = -torch.inf
    text, stamps = logits[:, :begin], logits[:, begin:]

    after_stamp = sampled.last >= begin
    after_pair = after_stamp & ((sampled.count < 2) | (sampled.penultimate >= begin))
    after_single = after_stamp & ~after_pair
    _forbid(stamps, after_pair)
    _forbid(text[:, : special.end_of_text], after_single)

    has_stamp = sampled.last_timestamp >= begin
    earliest = torch.where(has_stamp, sampled.last_timestamp + (~after_single).long(), begin)
    index = torch.arange(begin, logits.shape[1])
    stamps.masked_fill_(index < earliest.unsqueeze(1), -torch.inf)

    at_start = sampled.count == 0
    _forbid(text, at_start)
    _forbid(stamps[:, max_initial_timestamp_index + 1 :], at_start)

    _forbid(text, stamps.logsumexp(dim=-1) > text.amax(dim=-1))
    return logits


def _forbid(logits: Tensor, rows: Tensor) -> None:
    if rows.any():
        logits.masked_fill_(rows.unsqueeze(1), -torch.inf)


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


def _inside(span: Span, window_seconds: float) -> Span:
    latest_start = max(0.0, window_seconds - TIME_PRECISION_SECONDS)
    start = min(span.start_seconds, latest_start)
    end = max(span.end_seconds, start + TIME_PRECISION_SECONDS)
    return Span(start, min(end, window_seconds), span.tokens)
