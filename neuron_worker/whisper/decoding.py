"""Greedy decoding of one batch, every row stopping for itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from neuron_worker.whisper.checkpoint import Generation
from neuron_worker.whisper.runtime import CompiledModel
from neuron_worker.whisper.timestamps import Sampled, timestamp_rules
from neuron_worker.whisper.tokens import Prompt, SpecialTokens


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one window was decoded to; `tokens` has neither prompt nor end-of-text."""

    tokens: tuple[int, ...]
    average_log_probability: float
    no_speech_probability: float


@dataclass(frozen=True)
class Rules:
    """Which tokens a model may choose, given what it chose before."""

    special: SpecialTokens
    generation: Generation
    vocabulary_size: int

    def apply(self, logits: Tensor, sampled: Sampled) -> Tensor:
        """The logits [B, vocabulary] with -inf for every token that must not come next."""
        logits = logits + self._suppressed
        if (at_start := sampled.count == 0).any():
            logits[at_start] += self._suppressed_at_start
        return timestamp_rules(
            logits, sampled, self.special, self.generation.max_initial_timestamp_index
        )

    @cached_property
    def _suppressed(self) -> Tensor:
        return self._penalty(self.generation.suppress_tokens)

    @cached_property
    def _suppressed_at_start(self) -> Tensor:
        return self._penalty(self.generation.begin_suppress_tokens)

    def _penalty(self, tokens: tuple[int, ...]) -> Tensor:
        penalty = torch.zeros(self.vocabulary_size)
        penalty[list(tokens)] = -torch.inf
        return penalty


def language_probabilities(
    model: CompiledModel, special: SpecialTokens, rows: int
) -> list[Mapping[str, float]]:
    """How likely each row, which `model` has heard, speaks each language.

    The probabilities of the language tokens after `<|startoftranscript|>` alone, as in
    openai/whisper's `detect_language`.
    """
    logits = _feed(model, (special.start_of_transcript,), rows, position=0)
    ids = torch.tensor(list(special.languages.values()))
    probabilities = logits[:, ids].softmax(dim=-1).tolist()
    return [dict(zip(special.languages, row, strict=True)) for row in probabilities]


@torch.inference_mode()
def decode_greedy(model: CompiledModel, rules: Rules, prompt: Prompt, rows: int) -> list[Decoded]:
    """Decode the first `rows` rows, which `model` has heard, each from the same prompt.

    A row ends at end-of-text, and at the latest after half of the decoder's context: 224 tokens,
    as in openai/whisper's `sample_len`, so that a loop ends. The average log-probability is that
    of the chosen tokens under the rules, end-of-text included; the probability of no speech is
    the one after `<|startoftranscript|>`.
    """
    special = rules.special
    logits = _feed(model, (*prompt.previous, prompt.start_of_transcript), rows, position=0)
    no_speech = logits.softmax(dim=-1)[:, special.no_speech]
    if prompt.rest:
        logits = _feed(model, prompt.rest, rows, position=len(prompt.previous) + 1)

    context = model.config.max_target_positions
    sampled = Sampled.nothing(rows)
    chosen: list[Tensor] = []
    going = torch.ones(rows, dtype=torch.bool)
    log_probability, lengths = torch.zeros(rows), torch.zeros(rows)
    for position in range(len(prompt), min(len(prompt) + context // 2, context + 1)):
        allowed = rules.apply(logits, sampled)
        tokens = torch.where(going, allowed.argmax(dim=-1), special.end_of_text)
        gained = allowed.log_softmax(dim=-1).gather(1, tokens.unsqueeze(1)).squeeze(1)
        log_probability += torch.where(going, gained, 0.0)
        lengths += going
        chosen.append(tokens)
        going = going & (tokens != special.end_of_text)
        if not going.any() or position == context:
            break
        sampled = sampled.then(tokens, special.timestamp_begin)
        positions = torch.full((rows,), position, dtype=torch.int32)
        logits = model.step(tokens.int().unsqueeze(1), positions)

    averages = log_probability / lengths
    return [
        Decoded(_until(row, special.end_of_text), average, silent)
        for row, average, silent in zip(
            torch.stack(chosen, dim=1).tolist(), averages.tolist(), no_speech.tolist(), strict=True
        )
    ]


def _feed(model: CompiledModel, tokens: tuple[int, ...], rows: int, position: int) -> Tensor:
    """Feed every row the same tokens from the same position on."""
    fed = torch.tensor(tokens, dtype=torch.int32).expand(rows, -1)
    return model.step(fed, torch.full((rows,), position, dtype=torch.int32))


def _until(tokens: list[int], end_of_text: int) -> tuple[int, ...]:
    end = tokens.index(end_of_text) if end_of_text in tokens else len(tokens)
    return tuple(tokens[:end])
