"""Choosing tokens from made-up logits; `test_rows.py` compares whole texts with transformers."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers.generation.logits_process import (
    LogitsProcessorList,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
)

from neuron_worker.whisper.checkpoint import Generation
from neuron_worker.whisper.decoding import Rules, Sampling
from neuron_worker.whisper.timestamps import forbid_by_time
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
SUPPRESSED, SUPPRESSED_AT_START = (3, 4, 21, 22, 23, 24, 25), (5, 20)
RULES = Rules(
    SPECIAL,
    Generation(False, SUPPRESSED, SUPPRESSED_AT_START, max_initial_timestamp_index=5),
    VOCABULARY,
)

text_or_stamp = st.one_of(
    st.integers(0, SPECIAL.end_of_text - 1), st.integers(BEGIN, VOCABULARY - 1)
)
histories = st.lists(st.lists(text_or_stamp, max_size=8), min_size=1, max_size=5)
temperatures = st.sampled_from([0.0, 0.2, 1.0])


def some_logits(rows: int, seed: int) -> Tensor:
    return 3 * torch.randn(rows, VOCABULARY, generator=torch.Generator().manual_seed(seed))


def allowed(logits: Tensor, before: list[int]) -> Tensor:
    """One row's logits after transformers' processors and the rules of time."""
    processors = LogitsProcessorList(
        [
            SuppressTokensAtBeginLogitsProcessor(SUPPRESSED_AT_START, begin_index=0),
            SuppressTokensLogitsProcessor([*SUPPRESSED, SPECIAL.no_timestamps]),
        ]
    )
    ids = torch.tensor([before], dtype=torch.int64)
    scores: Tensor = processors(ids, logits.clone().unsqueeze(0))
    forbid_by_time(scores, [before], SPECIAL, max_initial_timestamp_index=5)
    return scores[0]


@settings(deadline=None)
@given(histories, st.integers(0, 2**32))
def test_the_likeliest_allowed_token_is_chosen_in_each_row(
    chosen: list[list[int]], seed: int
) -> None:
    logits = some_logits(len(chosen), seed)
    found = RULES.choose(logits.clone(), chosen, [Sampling(0)] * len(chosen))
    for choice, row, before in zip(found, logits, chosen, strict=True):
        left = allowed(row, before)
        assert choice.token == left.argmax().item()
        expected = left.log_softmax(dim=-1)[choice.token].item()
        assert choice.log_probability == pytest.approx(expected, abs=1e-5)


@settings(deadline=None)
@given(histories, st.integers(0, 2**32), st.lists(temperatures, min_size=5, max_size=5))
def test_no_row_ever_chooses_a_forbidden_token_however_hot(
    chosen: list[list[int]], seed: int, heat: list[float]
) -> None:
    logits = some_logits(len(chosen), seed)
    samplings = [Sampling(seed % 97, heat[row]) for row in range(len(chosen))]
    for _ in range(5):
        found = RULES.choose(logits.clone(), chosen, samplings)
        for choice, row, before in zip(found, logits, chosen, strict=True):
            left = allowed(row, before)
            assert left[choice.token].isfinite(), choice
            # At temperature 1, whatever the row's own: transcripts at all heats compare.
            expected = left.log_softmax(dim=-1)[choice.token].item()
            assert choice.log_probability == pytest.approx(expected, abs=1e-5)


def test_what_a_row_samples_does_not_depend_on_its_mates() -> None:
    logits = some_logits(4, seed=1)
    chosen = [[], [BEGIN, 7], [BEGIN, 7, 8], [BEGIN + 2, 9]]
    together = [Sampling(row, 0.6) for row in range(4)]
    alone = [Sampling(row, 0.6) for row in range(4)]
    for _ in range(20):
        found = RULES.choose(logits.clone(), chosen, together)
        for row in (3, 1, 0, 2):
            [expected] = RULES.choose(logits[[row]].clone(), [chosen[row]], [alone[row]])
            assert found[row].token == expected.token


def drawn(sampling: Sampling, logits: Tensor, count: int) -> list[int]:
    return [sampling.choose(logits) for _ in range(count)]


def test_the_lots_depend_on_the_seed_and_the_temperature_alone() -> None:
    logits = torch.zeros(50)
    torch.manual_seed(1)
    first = drawn(Sampling(7, 0.4), logits, 40)
    torch.manual_seed(2)
    assert drawn(Sampling(7, 0.4), logits, 40) == first
    assert drawn(Sampling(8, 0.4), logits, 40) != first
    assert drawn(Sampling(7, 0.6), logits, 40) != first


def test_sampling_leaves_the_random_numbers_of_others_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    drawn(Sampling(7, 1.0), torch.zeros(50), 10)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("temperature", [0.2, 0.6, 1.0])
def test_tokens_are_drawn_as_often_as_the_temperature_says(temperature: float) -> None:
    """Pearson's chi-square: with 5 degrees of freedom, above 20.5 once in a thousand times."""
    logits = torch.tensor([1.0, 0.5, -0.2, 0.0, -torch.inf, 1.3, 0.9])
    count = 4_000
    times = Counter(drawn(Sampling(11, temperature), logits, count))
    expected = (logits / temperature).softmax(dim=-1) * count
    assert times[4] == 0
    likely = [token for token in range(7) if token != 4]
    chi_square = sum((times[t] - expected[t].item()) ** 2 / expected[t].item() for t in likely)
    assert chi_square < 20.5, times


def test_forbidden_tokens_are_none_where_none_are_named() -> None:
    free = Rules(SPECIAL, Generation(False, (), ()), VOCABULARY)
    logits = torch.zeros(1, VOCABULARY)
    logits[0, BEGIN + 3] = 1.0
    [choice] = free.choose(logits, [[]], [Sampling(0)])
    assert choice.token == BEGIN + 3
