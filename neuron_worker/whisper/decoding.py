"""Choosing the next token: which ones a row may choose, and which of them it takes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from neuron_worker.whisper.checkpoint import Generation
from neuron_worker.whisper.timestamps import forbid_by_time
from neuron_worker.whisper.tokens import SpecialTokens


@dataclass(slots=True)
class Sampling:
    """How a row chooses: at temperature 0 the likeliest token, else by lot.

    The lots depend on `seed` and the temperature alone, so a window that is decoded again gets the
    same text, whatever shares its batch.
    """

    seed: int
    temperature: float = 0.0
    _generator: torch.Generator = field(default_factory=torch.Generator, init=False)

    def __post_init__(self) -> None:
        self._generator.manual_seed(self.seed * 1000 + round(self.temperature * 100))

    def choose(self, logits: Tensor) -> int:
        """One token of the allowed ones, which have finite logits [vocabulary].

        Dividing probabilities by exponential noise and taking the largest draws from them: the
        Gumbel-max trick (arXiv 1611.00712, section 3.1).
        """
        noise = torch.empty_like(logits).exponential_(generator=self._generator)
        return int((logits / self.temperature - noise.log()).argmax())


class Choice(NamedTuple):
    """A token and its log-probability among the allowed ones, at temperature 1."""

    token: int
    log_probability: float


@dataclass(frozen=True)
class Rules:
    """Which tokens a model may choose, given what it chose before."""

    special: SpecialTokens
    generation: Generation
    vocabulary_size: int

    def choose(
        self, logits: Tensor, chosen: Sequence[Sequence[int]], samplings: Sequence[Sampling]
    ) -> list[Choice]:
        """Each row's next token after those it has `chosen`; `logits` [B, vocabulary] are used up.

        What must not come next becomes -inf in them.
        """
        logits += self._suppressed
        for row, before in zip(logits, chosen, strict=True):
            if not before:
                row += self._suppressed_at_start
        forbid_by_time(logits, chosen, self.special, self.generation.max_initial_timestamp_index)
        tokens = logits.argmax(dim=-1).tolist()
        for index, sampling in enumerate(samplings):
            if sampling.temperature > 0:
                tokens[index] = sampling.choose(logits[index])
        gained = logits[range(len(tokens)), tokens] - logits.logsumexp(dim=-1)
        return [Choice(*pair) for pair in zip(tokens, gained.tolist(), strict=True)]

    @cached_property
    def _suppressed(self) -> Tensor:
        return self._penalty((*self.generation.suppress_tokens, self.special.no_timestamps))

    @cached_property
    def _suppressed_at_start(self) -> Tensor:
        return self._penalty(self.generation.begin_suppress_tokens)

    def _penalty(self, tokens: tuple[int, ...]) -> Tensor:
        penalty = torch.zeros(self.vocabulary_size)
        penalty[list(tokens)] = -torch.inf
        return penalty
