"""Continuous batching: every row of the batch decodes a window of its own, at its own position.

A row that ends is free for the next window at once; nobody waits for the longest row. All rows
that have something to say are fed in one step: prompts, too, go along with the others' decoding.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tokenizers import Tokenizer
from torch import Tensor

from neuron_worker.whisper.decoding import Choice, Rules, Sampling
from neuron_worker.whisper.fallback import Decoded
from neuron_worker.whisper.runtime import CompiledModel, Feed
from neuron_worker.whisper.tokens import text_of


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
        special = self._rules.special
        count = len(row.chosen)
        cut_short = row.chosen[-1] != special.end_of_text
        tokens = row.chosen if cut_short else row.chosen[:-1]
        return Decoded(
            tokens=tuple(tokens),
            text=text_of(self._tokenizer, special, tokens),
            average_log_probability=row.log_probability / count,
            no_speech_probability=row.no_speech_probability,
            temperature=row.sampling.temperature,
            cut_short=cut_short,
        )

    def _note_start(self, row: Row, logits: Tensor) -> None:
        row.start_logits = logits.clone()
        chances = logits.softmax(dim=-1)
        row.no_speech_probability = float(chances[self._rules.special.no_speech])

    def _choose(self, rows: Sequence[Row], logits: Tensor) -> None:
        choices = self._rules.choose(
            logits, [row.chosen for row in rows], [row.sampling for row in rows]
        )
        for row, choice in zip(rows, choices, strict=True):
            self._take(row, choice)

    def _take(self, row: Row, choice: Choice) -> None:
        row.chosen.append(choice.token)
        row.log_probability += choice.log_probability
        context = self._model.config.max_target_positions
        row.ended = (
            choice.token == self._rules.special.end_of_text
            or len(row.chosen) >= context // 2
            or row.position >= context
        )
