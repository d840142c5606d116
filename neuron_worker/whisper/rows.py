"""Continuous batching: every row of the batch decodes a window of its own, at its own position.

A row that ends is free for the next window at once; nobody waits for the longest row. All rows
that have something to say are fed in one step: prompts, too, go along with the others' decoding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from tokenizers import Tokenizer
from torch import Tensor

from neuron_worker.whisper.decoding import Choice, Rules, Sampling
from neuron_worker.whisper.fallback import Decoded
from neuron_worker.whisper.runtime import CompiledModel, Feed
from neuron_worker.whisper.tokens import text_of


@dataclass(frozen=True, slots=True)
class Ending:
    """How a row ended: what it chose, how likely that was, and how likely the end alone."""

    chosen: tuple[int, ...]
    log_probability: float
    of_end: float


@dataclass(slots=True)
class Row:
    """One row of the batch while it decodes.

    It is fed `start` (previous text and `<|startoftranscript|>`), then `rest` (language and task),
    and then what it chooses. Between start and rest it waits until `rest` is known.
    """

    index: int
    start: tuple[int, ...]
    rest: tuple[int, ...] | None
    sampling: Sampling
    position: int = 0
    chosen: list[int] = field(default_factory=list)
    log_probability: float = 0.0
    no_speech_probability: float = 0.0
    start_logits: Tensor | None = None
    """[vocabulary] after `start`, once that is fed."""
    ended: bool = False
    last_log_probability: float = 0.0
    """That of the token it chose last."""
    went_on: Ending | None = None
    """The end that it had to take back last."""

    @property
    def prompt_tokens(self) -> int:
        """How many tokens it is fed before it chooses."""
        return len(self.start) + len(self.rest or ())

    @property
    def waits(self) -> bool:
        """Whether nothing can be fed before `rest` is known."""
        return self.start_logits is not None and self.rest is None

    def feed(self) -> Feed:
        """What the row is fed next."""
        if self.position < len(self.start):
            return Feed(self.index, self.position, self.start[self.position :])
        prompt = self.start + (self.rest or ())
        if self.position < len(prompt):
            return Feed(self.index, self.position, prompt[self.position :])
        return Feed(self.index, self.position, (self.chosen[-1],))

    def again(self, sampling: Sampling) -> None:
        """Choose again from the first token on; what the prompt left in the state stays good."""
        self.sampling = sampling
        self.chosen, self.log_probability, self.ended = [], 0.0, False
        self.position = self.prompt_tokens - 1
        self.went_on = None

    def go_on(self) -> None:
        """Say something in the place of the end-of-text that it chose."""
        self.went_on = Ending(tuple(self.chosen), self.log_probability, self.last_log_probability)
        self.chosen.pop()
        self.log_probability -= self.last_log_probability
        self.position -= 1
        self.ended = False

    def take_back(self, ending: Ending) -> None:
        """End as it did before it went on."""
        self.chosen, self.log_probability = list(ending.chosen), ending.log_probability


class Rows:
    """The rows of a model's batch that decode."""

    def __init__(self, model: CompiledModel, rules: Rules, tokenizer: Tokenizer) -> None:
        self._model = model
        self._rules = rules
        self._tokenizer = tokenizer

    def step(self, rows: Sequence[Row]) -> None:
        """Feed every row that does not wait; those at the end of their prompt choose a token.

        A row ends at end-of-text, and at the latest after half of the decoder's context: 224
        tokens, as openai/whisper's `sample_len`, so that a loop ends.
        """
        fed = [row for row in rows if not row.waits]
        if not fed:
            return
        feeds = [row.feed() for row in fed]
        logits = self._model.step(feeds)
        choosing = list[int]()
        for index, (row, feed) in enumerate(zip(fed, feeds, strict=True)):
            row.position = feed.position + len(feed.tokens)
            if row.position == len(row.start) and row.start_logits is None:
                self._note_start(row, logits[index])
            if row.rest is not None and row.position >= row.prompt_tokens:
                choosing.append(index)
        if choosing:
            chosen_from = logits if len(choosing) == len(fed) else logits[choosing]
            self._choose([fed[index] for index in choosing], chosen_from)

    def decoded(self, row: Row) -> Decoded:
        """What a row that ended was decoded to."""
        return self._decoded(row, row.chosen, row.log_probability)

    def said_since(self, row: Row, ending: Ending) -> Decoded:
        """What a row that ended again was decoded to since it went on."""
        before = ending.log_probability - ending.of_end
        more = row.chosen[len(ending.chosen) - 1 :]
        return self._decoded(row, more, row.log_probability - before)

    def _decoded(self, row: Row, chosen: Sequence[int], log_probability: float) -> Decoded:
        special = self._rules.special
        cut_short = chosen[-1] != special.end_of_text
        tokens = chosen if cut_short else chosen[:-1]
        return Decoded(
            tokens=tuple(tokens),
            text=text_of(self._tokenizer, special, tokens),
            average_log_probability=log_probability / len(chosen),
            no_speech_probability=row.no_speech_probability,
            temperature=row.sampling.temperature,
            cut_short=cut_short,
        )

    def _note_start(self, row: Row, logits: Tensor) -> None:
        row.start_logits = logits.clone()
        chances = logits.softmax(dim=-1)
        row.no_speech_probability = float(chances[self._rules.special.no_speech])

    def _choose(self, rows: Sequence[Row], logits: Tensor) -> None:
        for index, row in enumerate(rows):
            if row.went_on and len(row.chosen) < len(row.went_on.chosen):
                logits[index, self._rules.special.end_of_text] = -torch.inf
        choices = self._rules.choose(
            logits, [row.chosen for row in rows], [row.sampling for row in rows]
        )
        for row, choice in zip(rows, choices, strict=True):
            self._take(row, choice)

    def _take(self, row: Row, choice: Choice) -> None:
        row.chosen.append(choice.token)
        row.log_probability += choice.log_probability
        row.last_log_probability = choice.log_probability
        context = self._model.config.max_target_positions
        row.ended = (
            choice.token == self._rules.special.end_of_text
            or len(row.chosen) >= context // 2
            or row.position >= context
        )
