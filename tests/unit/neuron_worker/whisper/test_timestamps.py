from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.generation.logits_process import WhisperTimeStampLogitsProcessor

from neuron_worker.whisper.timestamps import (
    Span,
    forbid_by_time,
    left_for_later,
    spans,
    unheard_from,
)
from neuron_worker.whisper.tokens import SpecialTokens

SPECIAL = SpecialTokens(
    end_of_text=20,
    start_of_transcript=21,
    start_of_previous=22,
    translate=23,
    transcribe=24,
    no_speech=25,
    no_timestamps=26,
    languages={"en": 27},
)
BEGIN = SPECIAL.timestamp_begin
VOCABULARY = BEGIN + 40
THEIR_CONFIG = SimpleNamespace(
    no_timestamps_token_id=SPECIAL.no_timestamps,
    eos_token_id=SPECIAL.end_of_text,
    bos_token_id=SPECIAL.end_of_text,
    max_initial_timestamp_index=5,
)

text_or_stamp = st.one_of(
    st.integers(0, SPECIAL.end_of_text - 1), st.integers(BEGIN, VOCABULARY - 1)
)


histories = st.lists(st.lists(text_or_stamp, max_size=12), min_size=1, max_size=5)


def forbidden(logits: torch.Tensor, chosen: list[list[int]]) -> torch.Tensor:
    """A copy of the logits after the rules of time."""
    logits = logits.clone()
    logits[:, SPECIAL.no_timestamps] = -torch.inf
    forbid_by_time(logits, chosen, SPECIAL, max_initial_timestamp_index=5)
    return logits


@settings(deadline=None, max_examples=300)
@given(
    chosen=histories,
    seed=st.integers(0, 2**32),
    stamps_favour=st.sampled_from([-8.0, 0.0, 8.0]),
)
def test_the_rules_are_transformers_for_rows_of_any_lengths(
    chosen: list[list[int]], seed: int, stamps_favour: float
) -> None:
    logits = torch.randn(len(chosen), VOCABULARY, generator=torch.Generator().manual_seed(seed)) * 3
    logits[:, BEGIN:] += stamps_favour
    processor = WhisperTimeStampLogitsProcessor(THEIR_CONFIG, begin_index=0)
    theirs = [
        processor(torch.tensor([before], dtype=torch.int64), row.unsqueeze(0))
        for before, row in zip(chosen, logits, strict=True)
    ]
    assert torch.equal(forbidden(logits, chosen), torch.cat(theirs))


@settings(deadline=None)
@given(chosen=histories, seed=st.integers(0, 2**32))
def test_some_token_may_always_come_next(chosen: list[list[int]], seed: int) -> None:
    """Where a row's own tokens obeyed the rules, they never leave it without a choice."""
    logits = torch.randn(1, VOCABULARY, generator=torch.Generator().manual_seed(seed))
    said = list[int]()
    for wish in chosen[0]:
        left = forbidden(logits, [said])[0]
        assert left.isfinite().any()
        allowed = left.isfinite().nonzero().flatten().tolist()
        said.append(min(allowed, key=lambda token: abs(token - wish)))
    stamps = [token for token in said if token >= BEGIN]
    assert stamps == sorted(stamps)


def test_the_same_logits_are_used_up() -> None:
    logits = torch.zeros(2, VOCABULARY)
    expected = forbidden(logits, [[], [BEGIN, 3]])
    logits[:, SPECIAL.no_timestamps] = -torch.inf
    forbid_by_time(logits, [[], [BEGIN, 3]], SPECIAL, max_initial_timestamp_index=5)
    assert torch.equal(logits, expected)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([BEGIN, BEGIN + 30], [], id="no text"),
        pytest.param([BEGIN, 1, 2, BEGIN + 30], [Span(0.0, 0.6, (1, 2))], id="one"),
        pytest.param(
            [BEGIN, 1, BEGIN + 10, BEGIN + 10, 2, BEGIN + 30],
            [Span(0.0, 0.2, (1,)), Span(0.2, 0.6, (2,))],
            id="two",
        ),
        pytest.param([BEGIN + 5, 1, 2], [Span(0.1, 0.7, (1, 2))], id="not closed"),
        pytest.param([1, 2], [Span(0.0, 0.7, (1, 2))], id="no timestamps"),
        pytest.param([BEGIN, 1, BEGIN + 39], [Span(0.0, 0.7, (1,))], id="ends after the window"),
        pytest.param(
            [BEGIN + 38, 1, BEGIN + 39], [Span(0.68, 0.7, (1,))], id="begins after the window"
        ),
        pytest.param([BEGIN + 9, 1, BEGIN + 9], [Span(0.18, 0.2, (1,))], id="begins where it ends"),
    ],
)
def test_timestamps_mark_spans_inside_the_window(tokens: list[int], expected: list[Span]) -> None:
    found = list(spans(tokens, SPECIAL, window_seconds=0.7))
    assert [span.tokens for span in found] == [span.tokens for span in expected]
    for span, other in zip(found, expected, strict=True):
        assert span.start_seconds == pytest.approx(other.start_seconds)
        assert span.end_seconds == pytest.approx(other.end_seconds)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        ([], None),
        ([BEGIN, 1, 2, BEGIN + 10], None),
        ([BEGIN, 1, BEGIN + 5, BEGIN + 5, 2], None),
        ([BEGIN], None),
        ([BEGIN, 1, BEGIN + 5, BEGIN + 6], 0.12),
    ],
    ids=["nothing", "one timestamp", "text", "a timestamp alone", "two timestamps"],
)
def test_two_timestamps_at_the_end_say_that_speech_goes_on(
    tokens: list[int], expected: float | None
) -> None:
    assert unheard_from(tokens, SPECIAL) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        pytest.param([], [], id="nothing"),
        pytest.param([BEGIN, 1, 2], [BEGIN, 1, 2], id="nothing finished"),
        pytest.param(
            [BEGIN, 1, BEGIN + 4, BEGIN + 4, 2],
            [BEGIN, 1, BEGIN + 4, BEGIN + 4, 2],
            id="too little",
        ),
        pytest.param(
            [BEGIN, 1, BEGIN + 20, BEGIN + 25, 2, 3],
            [BEGIN, 1, BEGIN + 20, BEGIN + 25, BEGIN + 25],
            id="in a segment",
        ),
        pytest.param(
            [BEGIN, 1, BEGIN + 20], [BEGIN, 1, BEGIN + 20, BEGIN + 20], id="between segments"
        ),
    ],
)
def test_a_decoder_that_is_cut_short_leaves_the_segment_that_it_is_in(
    tokens: list[int], expected: list[int]
) -> None:
    left = left_for_later(tokens, SPECIAL, min_seconds=0.1)
    assert left == tuple(expected)
    if len(left) > len(tokens) or left != tuple(tokens):
        assert unheard_from(left, SPECIAL) == pytest.approx((left[-1] - BEGIN) * 0.02)
