"""A model that says what a script tells it to, so that a transcriber's decisions can be tested."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from neuron_worker.contract import Options
from neuron_worker.meter import Meter
from neuron_worker.speech import SAMPLE_RATE, Stretch, Window
from neuron_worker.whisper.checkpoint import Checkpoint, ModelConfig
from neuron_worker.whisper.recording import Recording, Utterance, WindowTranscript
from neuron_worker.whisper.runtime import Feed
from neuron_worker.whisper.tokens import SpecialTokens
from neuron_worker.whisper.transcriber import Transcriber

SURE, UNSURE = -40.0, -9.5
"""Logits of all tokens that the script does not say, where it says one with 0.

Unsure, an average log-probability is about -1.6: 50,000 others weigh four times as much.
"""


@dataclass(frozen=True)
class Said:
    """What is said of a window: texts with their times in it, then other timestamps."""

    texts: Sequence[tuple[float, str, float]] = ()
    ending: Sequence[float] = ()
    sure: bool = True
    no_speech: float = 0.0
    languages: Mapping[str, float] = field(default_factory=lambda: {"en": 1.0})
    more: "Said | None" = None
    """What it says after all that when it must not end there; begins at the last timestamp."""


LOOPING = "the boat " * 30
FULL = "The first boat leaves at the top of the hour, and there is room for everyone on it."
"""Enough for 14 s of speech."""

Script = Callable[[Recording, Stretch, int], Said]
"""Of a recording's stretch in seconds, at the first, second … try."""


class ScriptedModel:
    """Speaks by its script, whatever its rows hear.

    What it was given can be seen: in `heard` windows, by the number of their recording; in
    `prompts` the text before each transcript, in `asked` languages and tasks, in `fed` the rows of
    each step.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        batch_size: int,
        script: Callable[[int, Stretch, int], Said],
        hears_together: int = 1,
    ) -> None:
        self.config: ModelConfig = checkpoint.config
        self.batch_size = batch_size
        self.hears_together = hears_together
        self.heard: list[tuple[int, Stretch]] = []
        self.prompts: list[str] = []
        self.asked: list[str] = []
        self.fed: list[set[int]] = []
        self._script = script
        self._tokenizer = checkpoint.tokenizer
        self._special = SpecialTokens.of(checkpoint.tokenizer)
        self._multilingual = checkpoint.generation.is_multilingual
        self._hears = dict[int, tuple[int, Stretch]]()
        self._tokens = dict[int, list[int]]()
        self._tries = dict[int, int]()

    def hear(self, rows: Sequence[int], mels: Tensor) -> None:
        """`marked` made the spectrograms."""
        assert len(set(rows)) == len(rows) == len(mels)
        for row, mel in zip(rows, mels, strict=True):
            number, start_seconds, end_seconds = mel[0, :3].double().tolist()
            self._hears[row] = round(number), Stretch(start_seconds, end_seconds)
            self._tokens[row], self._tries[row] = [], 0
            self.heard.append(self._hears[row])

    def step(self, feeds: Sequence[Feed]) -> Tensor:
        """The logits after each feed, by the script."""
        self.fed.append({feed.row for feed in feeds})
        return torch.stack([self._logits(feed) for feed in feeds])

    def align(self, row: int, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Each token is heard a little after the one before it."""
        weights = torch.full((1, len(tokens), 1500), 1e-4)
        for index in range(len(tokens)):
            weights[0, index, 5 * index : 5 * index + 5] = 1.0
        return weights, torch.zeros(len(tokens))

    def save(self, directory: Path) -> Path:
        """It has nothing to save."""
        return directory

    def _logits(self, feed: Feed) -> Tensor:
        said = self._tokens[feed.row]
        assert feed.position <= len(said), "a token was left out"
        said[feed.position :] = feed.tokens
        start = said.index(self._special.start_of_transcript) + 1
        number, stretch = self._hears[feed.row]
        at_start = len(said) == start
        script = self._script(number, stretch, self._tries[feed.row])
        if at_start:
            self.prompts.append(self._tokenizer.decode(said[: start - 1]))
        if at_start and self._multilingual:
            return self._at_start(script)
        chosen = len(said) - start - 2 * self._multilingual
        if chosen == 0:
            self.asked.append(self._tokenizer.decode(said[start:], skip_special_tokens=False))
        logits = self._saying(script, chosen)
        if at_start:
            logits[self._special.no_speech] = self._no_speech_logit(script, logits)
        if logits.argmax() == self._special.end_of_text:
            self._tries[feed.row] += 1
        return logits

    def _saying(self, script: Said, chosen: int) -> Tensor:
        end = self._special.end_of_text
        spoken = self._spoken(script)
        more = [*self._spoken(script.more)[1:], end] if script.more else [end]
        said = script.more if script.more and chosen >= len(spoken) else script
        logits = torch.full((self.config.vocab_size,), SURE if said.sure else UNSURE)
        logits[[*spoken, *more][min(chosen, len(spoken) + len(more) - 1)]] = 0.0
        if chosen == len(spoken):
            logits[end] = 1.0
        return logits

    def _no_speech_logit(self, script: Said, logits: Tensor) -> float:
        others = logits.exp().sum() - logits[self._special.no_speech].exp()
        odds = max(script.no_speech, 1e-9) / max(1 - script.no_speech, 1e-9)
        return float((others * odds).log())

    def _at_start(self, script: Said) -> Tensor:
        """The languages share what no speech leaves."""
        logits = torch.full((self.config.vocab_size,), -60.0)
        for language, chance in script.languages.items():
            share = max(chance * (1 - script.no_speech), 1e-20)
            logits[self._special.languages[language]] = torch.tensor(share).log()
        logits[self._special.no_speech] = torch.tensor(max(script.no_speech, 1e-20)).log()
        return logits

    def _spoken(self, script: Said) -> list[int]:
        tokens = list[int]()
        for start_seconds, text, end_seconds in script.texts:
            words = self._tokenizer.encode(f" {text}", add_special_tokens=False).ids
            tokens += [self._stamp(start_seconds), *words, self._stamp(end_seconds)]
        tokens += [self._stamp(seconds) for seconds in script.ending]
        return tokens or [self._stamp(0.0)]

    def _stamp(self, seconds: float) -> int:
        return self._special.timestamp_begin + round(seconds / 0.02)


class ScriptedTranscriber(Transcriber):
    """A transcriber whose windows are told apart by their times and not by their sound."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        batch_size: int,
        script: Script,
        hears_together: int = 1,
    ) -> None:
        self._recordings: list[Recording] = []

        def by_number(number: int, stretch: Stretch, tries: int) -> Said:
            return script(self._recordings[number], stretch, tries)

        self.model = ScriptedModel(checkpoint, batch_size, by_number, hears_together)
        super().__init__(checkpoint, self.model)

    def begin(self, options: Options, meter: Meter | None = None) -> Recording:
        """Also numbers the recording, so that the script can tell it by its windows."""
        recording = super().begin(options, meter)
        self._recordings.append(recording)
        return recording

    def _mel(self, window: Window) -> Tensor:
        """The samples are the number of the recording."""
        mel = torch.zeros(self.mel_bins, 3000)
        mel[0, :3] = torch.tensor(
            [float(window.samples[0]), window.start_seconds, window.end_seconds]
        )
        return mel

    def windows(
        self,
        recording: Recording,
        count: int,
        *,
        seconds: float = 20.0,
        speech: Sequence[tuple[float, float]] = (),
    ) -> list[Utterance]:
        """Windows one behind the other, of that many seconds, each with the same speech in it."""
        number = self._recordings.index(recording)
        samples = torch.full((round(seconds * SAMPLE_RATE),), float(number)).numpy()
        return [
            self.utterance(
                recording,
                index,
                Window(
                    index * seconds,
                    samples,
                    tuple(Stretch(index * seconds + a, index * seconds + b) for a, b in speech),
                ),
                last=index == count - 1,
            )
            for index in range(count)
        ]


class Queued:
    """A source of windows that are all here.

    A None among them says that just now none is; a function is called when it is reached.
    """

    def __init__(self, windows: Sequence[Utterance | Callable[[], None] | None]) -> None:
        self.left = list(windows)
        self.waited = list[bool]()
        self.overdue = False

    def take(self, *, wait: bool) -> Utterance | None:
        """See `recording.Source`."""
        self.waited.append(wait)
        while self.left:
            came = self.left.pop(0)
            if isinstance(came, Utterance):
                return came
            if came is not None:
                came()
            elif not wait:
                return None
        return None


def its_time(recording: Recording, stretch: Stretch, tries: int) -> Said:
    """Each window says its own time."""
    return Said([(0.0, f"at {stretch.start_seconds:.0f} s", 20.0)])


def text_of(transcript: WindowTranscript) -> str:
    """All that was said in a window."""
    return " ".join(segment.text for segment in transcript.segments)


def hear(
    checkpoint: Checkpoint,
    script: Callable[[Stretch, int], Said],
    *,
    seconds: float = 20.0,
    speech: list[tuple[float, float]] | None = None,
    options: Options | None = None,
) -> tuple[WindowTranscript, list[tuple[float, float]]]:
    """One window, and the stretches that the model was given of it."""
    transcriber = ScriptedTranscriber(
        checkpoint, 2, lambda recording, stretch, tries: script(stretch, tries)
    )
    recording = transcriber.begin(options or Options())
    windows = transcriber.windows(recording, 1, seconds=seconds, speech=speech or [])
    [transcript] = transcriber.transcribe(Queued(windows))
    heard = transcriber.model.heard
    return transcript, [
        (round(one.start_seconds, 2), round(one.end_seconds, 2)) for _, one in heard
    ]


def at_first(said: Said, *then: Said) -> Callable[[Stretch, int], Said]:
    """What is said at the first try, at the second …"""
    return lambda stretch, tries: (said, *then)[min(tries, len(then))]


def by_start(said: dict[float, Said]) -> Callable[[Stretch, int], Said]:
    """What is said of the stretch that starts so."""
    return lambda stretch, tries: said[round(stretch.start_seconds, 2)]
