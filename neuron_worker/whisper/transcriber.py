"""Windows of speech in, their transcripts out."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Self

import torch

from neuron_worker.contract import Options, Task
from neuron_worker.speech import SAMPLE_RATE, Window
from neuron_worker.transcript import Segment
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.cpu import CpuRuntime
from neuron_worker.whisper.decoding import Decoded, Rules, decode_greedy, language_probabilities
from neuron_worker.whisper.errors import UnsupportedOption
from neuron_worker.whisper.mel import log_mel
from neuron_worker.whisper.runtime import CompiledModel, Shapes
from neuron_worker.whisper.timestamps import spans, unheard_from
from neuron_worker.whisper.tokens import (
    Prompt,
    SpecialTokens,
    previous_text,
    prompt_for,
    text_of,
)
from neuron_worker.whisper.weights import load_checkpoint

__all__ = ["Transcriber", "UnsupportedOption", "WindowTranscript"]

ENGLISH = "en"
"""The language of the English-only models."""

NO_SPEECH_THRESHOLD = 0.6
"""Above this probability of no speech, a window is silent if its text is unlikely too.

Source: openai/whisper, transcribe.py, `no_speech_threshold`.
"""

LOG_PROBABILITY_THRESHOLD = -1.0
"""Below this average log-probability, a text is unlikely (transcribe.py, `logprob_threshold`)."""

REST_MIN_SECONDS = 1.0
"""Less than this is not decoded again, neither left behind a window's last segment nor gained."""


@dataclass(frozen=True, slots=True)
class WindowTranscript:
    """What was said in one window; the segments' times count from the start of the audio."""

    window_start_seconds: float
    window_seconds: float
    language: str
    segments: tuple[Segment, ...]


class Transcriber:
    """Whisper, ready to transcribe one file's windows after another's."""

    def __init__(self, checkpoint: Checkpoint, model: CompiledModel) -> None:
        self.model_name = checkpoint.name
        self._tokenizer = checkpoint.tokenizer
        self._multilingual = checkpoint.generation.is_multilingual
        self._special = SpecialTokens.of(checkpoint.tokenizer)
        self._rules = Rules(self._special, checkpoint.generation, checkpoint.config.vocab_size)
        self._model = model

    @classmethod
    def load(cls, model: str, *, batch_size: int = 8, threads: int = 1) -> Self:
        """Load a model (see `weights.load_checkpoint` for its names) for the CPU.

        Raises a WhisperError that says what is missing or wrong and what to do about it.
        """
        checkpoint = load_checkpoint(model)
        return cls(checkpoint, CpuRuntime(threads).compile(checkpoint, Shapes(batch_size)))

    def check(self, options: Options) -> None:
        """Raise UnsupportedOption when this model cannot do what is asked.

        Word times are no part of it: segments have theirs, whatever level is asked for.
        """
        if self._multilingual:
            if options.language and options.language not in self._special.languages:
                known = ", ".join(sorted(self._special.languages))
                raise self._unsupported("language", options.language, f"it knows {known}")
            return
        if options.language not in (None, ENGLISH):
            problem = "it knows English only; send the request to a multilingual profile"
            raise self._unsupported("language", options.language, problem)
        if options.task is Task.TRANSLATE:
            problem = "it only writes down English; send the request to a multilingual profile"
            raise self._unsupported("task", options.task.value, problem)

    def transcribe(self, windows: Iterable[Window], options: Options) -> Iterator[WindowTranscript]:
        """Transcribe one file's windows, in order; a batch's results come when it ends.

        Windows are taken from the iterable one batch at a time. A language that is not given is
        detected in the file's first window and kept. Raises UnsupportedOption before any work.
        """
        self.check(options)
        return self._transcribe(iter(windows), options)

    def _transcribe(
        self, windows: Iterator[Window], options: Options
    ) -> Iterator[WindowTranscript]:
        context = self._model.config.max_target_positions
        previous = previous_text(self._tokenizer, self._special, options.prompt, context)
        language = options.language if self._multilingual else ENGLISH
        while batch := list(islice(windows, self._model.batch_size)):
            self._hear(batch)
            if language is None:
                language = self._detect_language(len(batch))
            prompt = prompt_for(
                self._special,
                language=language if self._multilingual else None,
                task=options.task,
                previous=previous,
            )
            for window, segments in zip(batch, self._heard(batch, prompt), strict=True):
                yield WindowTranscript(
                    window_start_seconds=window.start_seconds,
                    window_seconds=window.samples.size / SAMPLE_RATE,
                    language=language,
                    segments=segments,
                )

    def _heard(self, batch: list[Window], prompt: Prompt) -> list[tuple[Segment, ...]]:
        """Decode windows that the model has heard, and what it left unheard, until nothing is."""
        segments: list[list[Segment]] = [[] for _ in batch]
        pending = list(enumerate(batch))
        while True:
            decoded = decode_greedy(self._model, self._rules, prompt, len(pending))
            rests = []
            for (row, window), result in zip(pending, decoded, strict=True):
                segments[row] += self._segments(window, result)
                if (rest := self._unheard(window, result)) is not None:
                    rests.append((row, rest))
            if not rests:
                return [tuple(row) for row in segments]
            pending = rests
            self._hear([window for _, window in pending])

    def _unheard(self, window: Window, decoded: Decoded) -> Window | None:
        start_seconds = unheard_from(decoded.tokens, self._special)
        if start_seconds is None or start_seconds < REST_MIN_SECONDS or is_silent(decoded):
            return None
        samples = window.samples[round(start_seconds * SAMPLE_RATE) :]
        if samples.size < REST_MIN_SECONDS * SAMPLE_RATE:
            return None
        return Window(window.start_seconds + start_seconds, samples)

    def _hear(self, batch: list[Window]) -> None:
        bins = self._model.config.num_mel_bins
        self._model.encode(torch.stack([log_mel(window.samples, bins) for window in batch]))

    def _detect_language(self, rows: int) -> str:
        first, *_ = language_probabilities(self._model, self._special, rows)
        return max(first, key=lambda language: first[language])

    def _segments(self, window: Window, decoded: Decoded) -> Iterator[Segment]:
        if is_silent(decoded):
            return
        window_seconds = window.samples.size / SAMPLE_RATE
        for span in spans(decoded.tokens, self._special, window_seconds):
            if text := text_of(self._tokenizer, self._special, span.tokens):
                yield Segment(
                    start_seconds=window.start_seconds + span.start_seconds,
                    end_seconds=window.start_seconds + span.end_seconds,
                    text=text,
                    average_log_probability=decoded.average_log_probability,
                    no_speech_probability=decoded.no_speech_probability,
                )

    def _unsupported(self, option: str, value: str | None, problem: str) -> UnsupportedOption:
        return UnsupportedOption(option=option, value=value, model=self.model_name, problem=problem)


def is_silent(decoded: Decoded) -> bool:
    """Whether a window's text was made up over silence."""
    return (
        decoded.no_speech_probability > NO_SPEECH_THRESHOLD
        and decoded.average_log_probability < LOG_PROBABILITY_THRESHOLD
    )
