"""The vote on a recording's language: several windows of speech, not the first seconds alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from neuron_worker.whisper.tokens import SpecialTokens

VOTES = 3
"""How many windows vote. One can be music or a greeting in another language; each vote costs
nothing, since the same pass of the decoder is needed anyway."""

SPEECH_MIN = 0.01
"""The least weight of a vote, so that windows of noise still elect a language."""


@dataclass(slots=True)
class Ballot:
    """Collects what a recording's first windows sound like, each vote as heavy as its speech."""

    seats: int = VOTES
    _votes: dict[int, tuple[Mapping[str, float], float]] = field(default_factory=dict, init=False)

    def vote(self, window: int, probabilities: Mapping[str, float], speech: float) -> None:
        """Window number `window`, which is speech with a probability, speaks each language so."""
        if window < self.seats:
            self._votes[window] = (probabilities, max(speech, SPEECH_MIN))

    def close(self) -> None:
        """Wait for no more votes than are here."""
        self.seats = len(self._votes)

    def winner(self, windows: int | None) -> tuple[str, float] | None:
        """The language likeliest on average, and its average; None while votes are missing.

        `windows` is how many the recording has, None while nobody knows.
        """
        wanted = self.seats if windows is None else min(self.seats, windows)
        if len(self._votes) < wanted:
            return None
        votes = [self._votes[window] for window in sorted(self._votes)]
        weight = sum(speech for _, speech in votes)
        averages = {
            language: sum(chances[language] * speech for chances, speech in votes) / weight
            for language in votes[0][0]
        }
        return max(averages.items(), key=lambda item: item[1])


def language_probabilities(logits: Tensor, special: SpecialTokens) -> Mapping[str, float]:
    """How likely each language is, given the logits [vocabulary] after `<|startoftranscript|>`.

    The probabilities of the language tokens among themselves, as in openai/whisper's
    `detect_language`.
    """
    ids = list(special.languages.values())
    return dict(zip(special.languages, logits[ids].softmax(dim=-1).tolist(), strict=True))
