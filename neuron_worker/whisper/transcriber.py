"""Windows of many recordings in, their transcripts out, through one batch.

Each row of the batch holds a window until its transcript is settled: it waits for the vote on its
recording's language, is decoded again at a higher temperature where its text is poor, hears what
the decoder left unheard, and gives word times before its audio leaves the device. Then the next
window takes the row, from whichever recording it comes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from neuron_worker.contract import Options, Stage, Task, TimestampLevel
from neuron_worker.meter import Meter, timed
from neuron_worker.speech import SAMPLE_RATE, Stretch, Window
from neuron_worker.transcript import Segment, Word
from neuron_worker.whisper.alignment import aligned_tokens
from neuron_worker.whisper.ballot import VOTES, Ballot, language_probabilities
from neuron_worker.whisper.checkpoint import Description
from neuron_worker.whisper.decoding import Rules, Sampling
from neuron_worker.whisper.doubts import doubts
from neuron_worker.whisper.errors import UnsupportedOption
from neuron_worker.whisper.fallback import Decoded, best_of, next_temperature
from neuron_worker.whisper.hearing import REST_MIN_SECONDS, Hearing, was_said
from neuron_worker.whisper.mel import log_mel
from neuron_worker.whisper.recording import Recording, Source, Utterance, WindowTranscript
from neuron_worker.whisper.rows import Row, Rows
from neuron_worker.whisper.runtime import CompiledModel
from neuron_worker.whisper.timestamps import Span, left_for_later, spans, unheard_from
from neuron_worker.whisper.tokens import (
    SpecialTokens,
    prompt_tokens,
    rest_of_prompt,
    start_of_prompt,
    text_of,
)
from neuron_worker.whisper.words import words_of

__all__ = ["Recording", "Transcriber", "UnsupportedOption", "Utterance", "WindowTranscript"]

ENGLISH = "en"
"""The language of the English-only models."""

CONDITION_TEMPERATURE_MAX = 0.5
"""Text decoded hotter than this is no good prompt for the next window (openai/whisper,
transcribe.py, `prompt_reset_since`)."""


class Transcriber:
    """Whisper, ready to transcribe the windows of one recording after another's."""

    def __init__(self, description: Description, model: CompiledModel) -> None:
        self.model_name = description.name
        self.revision = description.revision
        self.mel_bins = model.config.num_mel_bins
        self.batch_size = model.batch_size
        self._tokenizer = description.tokenizer
        self._multilingual = description.generation.is_multilingual
        self._special = SpecialTokens.of(description.tokenizer)
        rules = Rules(self._special, description.generation, description.config.vocab_size)
        self._model = model
        self._rows = Rows(model, rules, description.tokenizer)
        self._context = description.config.max_target_positions

    def check(self, options: Options) -> None:
        """Raise UnsupportedOption when this model cannot do what is asked."""
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

    def begin(self, options: Options, meter: Meter | None = None) -> Recording:
        """A recording whose windows are to come. Raises UnsupportedOption."""
        self.check(options)
        return Recording(
            options=options,
            language=options.language if self._multilingual else ENGLISH,
            hotwords=prompt_tokens(self._tokenizer, ", ".join(options.hotwords)),
            previous=prompt_tokens(self._tokenizer, options.prompt),
            ballot=Ballot(1 if options.condition_on_previous else min(VOTES, self.batch_size)),
            meter=meter or Meter(),
        )

    def resume(
        self,
        recording: Recording,
        language: str | None,
        probability: float | None,
        done: Sequence[Sequence[Segment]],
    ) -> None:
        """Go on with a recording whose first windows are done, in an earlier attempt."""
        if recording.language is None:
            recording.language, recording.language_probability = language, probability
        for segments in done:
            self._condition(recording, segments)

    def utterance(
        self, recording: Recording, index: int, window: Window, *, last: bool
    ) -> Utterance:
        """A window made ready to be heard, which may be done in another thread."""
        return Utterance(recording, index, window, self._mel(window), last)

    @torch.inference_mode()
    def transcribe(self, source: Source) -> Iterator[WindowTranscript]:
        """Transcribe windows until the source has no more; each comes when it is settled.

        The windows of one recording can come in another order than they went in.
        """
        hearings: list[Hearing] = []
        held: Utterance | None = None
        while True:
            held = self._fill(hearings, source, held)
            if source.overdue:
                return
            if all(hearing.row.waits for hearing in hearings):
                if len(hearings) < self.batch_size:
                    return
                # No row is left for the windows whose votes they wait for.
                hearings[0].utterance.recording.ballot.close()
            fed = [hearing for hearing in hearings if not hearing.row.waits]
            with timed(Stage.DECODE, *(hearing.meter for hearing in fed)):
                self._rows.step([hearing.row for hearing in fed])
            for hearing in tuple(hearings):
                if (transcript := self._follow(hearing)) or hearing.utterance.recording.abandoned:
                    hearings.remove(hearing)
                    hearing.utterance.recording.in_rows -= 1
                if transcript:
                    yield transcript

    def _fill(
        self, hearings: list[Hearing], source: Source, held: Utterance | None
    ) -> Utterance | None:
        """Let free rows hear windows; returns one that must wait for its recording's last one."""
        free = sorted(set(range(self.batch_size)) - {hearing.row.index for hearing in hearings})
        idle = all(hearing.row.waits for hearing in hearings)
        if len(free) < self._model.hears_together and not idle:
            return held
        fresh: list[Hearing] = []
        while len(fresh) < len(free):
            held = held or source.take(wait=idle and not fresh)
            if held is None or not self._may_begin(held):
                break
            fresh.append(self._begin(held, free[len(fresh)]))
            held = None
        if fresh:
            self._hear(fresh, [hearing.utterance.mel for hearing in fresh])
            hearings += fresh
        return held

    def _hear(self, hearings: Sequence[Hearing], mels: list[Tensor]) -> None:
        with timed(Stage.ENCODE, *(hearing.meter for hearing in hearings)):
            self._model.hear([hearing.row.index for hearing in hearings], torch.stack(mels))

    def _may_begin(self, utterance: Utterance) -> bool:
        recording = utterance.recording
        return not (recording.options.condition_on_previous and recording.in_rows)

    def _begin(self, utterance: Utterance, row: int) -> Hearing:
        recording = utterance.recording
        recording.in_rows += 1
        if utterance.last:
            recording.windows = utterance.index + 1
        return Hearing(utterance, self._row(recording, row, utterance.window), utterance.window)

    def _row(self, recording: Recording, index: int, window: Window) -> Row:
        return Row(
            index=index,
            start=start_of_prompt(
                self._special, recording.previous, self._context, recording.hotwords
            ),
            rest=self._rest(recording),
            sampling=Sampling(_seed(window)),
        )

    def _rest(self, recording: Recording) -> tuple[int, ...] | None:
        if not self._multilingual:
            return ()
        if recording.language is None:
            return None
        return rest_of_prompt(self._special, recording.language, recording.options.task)

    def _follow(self, hearing: Hearing) -> WindowTranscript | None:
        """See what becomes of a window after a step; returns its transcript when it is settled."""
        row = hearing.row
        if row.rest is None:
            self._vote(hearing)
        if not row.ended or self._goes_on(hearing):
            return None
        hearing.tries.append(self._rows.decoded(row))
        hearing.meter.tokens += len(row.chosen)
        temperature = next_temperature(hearing.tries[-1])
        if temperature is not None and not hearing.take_apart():
            hearing.meter.fallbacks += 1
            row.again(Sampling(_seed(hearing.window), temperature))
            return None
        if temperature is None:
            self._keep(hearing, best_of(hearing.tries))
        if hearing.take_next():
            self._hear_again(hearing)
            return None
        return self._settled(hearing)

    def _goes_on(self, hearing: Hearing) -> bool:
        """Have a row that stopped while somebody speaks on say more, without another pass.

        Whisper leaves a segment that it begins to the next window, which here begins later. What
        it says of it when it must is kept while it is likely; else it is heard again.
        """
        row = hearing.row
        if ending := row.went_on:
            rest = self._rest_behind(hearing, ending.chosen[:-1])
            if not was_said(self._rows.said_since(row, ending), rest):
                row.take_back(ending)
                return False
        if row.chosen[-1] != self._special.end_of_text:
            return False
        if hearing.speaks_on(self._rest_behind(hearing, row.chosen[:-1])):
            row.go_on()
            return True
        return False

    def _rest_behind(self, hearing: Hearing, tokens: Sequence[int]) -> Stretch | None:
        return hearing.rest(unheard_from(tokens, self._special))

    def _vote(self, hearing: Hearing) -> None:
        recording, row = hearing.utterance.recording, hearing.row
        if recording.language is None and row.start_logits is not None:
            chances = language_probabilities(row.start_logits, self._special)
            recording.ballot.vote(hearing.utterance.index, chances, 1 - row.no_speech_probability)
            if winner := recording.ballot.winner(recording.windows):
                recording.language, recording.language_probability = winner
        row.rest = self._rest(recording)

    def _keep(self, hearing: Hearing, decoded: Decoded) -> None:
        if not hearing.believes(decoded):
            return
        tokens = decoded.tokens
        if decoded.cut_short:
            tokens = left_for_later(tokens, self._special, REST_MIN_SECONDS)
        segments = self._segments(hearing, replace(decoded, tokens=tokens))
        hearing.keep(segments, self._rest_behind(hearing, tokens))

    def _hear_again(self, hearing: Hearing) -> None:
        part = hearing.window
        self._hear([hearing], [self._mel(part)])
        hearing.row = self._row(hearing.utterance.recording, hearing.row.index, part)

    def _settled(self, hearing: Hearing) -> WindowTranscript:
        utterance = hearing.utterance
        segments = hearing.segments()
        self._condition(utterance.recording, segments)
        hearing.meter.windows += 1
        return WindowTranscript(utterance.recording, utterance.index, utterance.window, segments)

    def _condition(self, recording: Recording, segments: Sequence[Segment]) -> None:
        """Let a window's text go before the next one's, where that is asked for."""
        if not recording.options.condition_on_previous:
            return
        if any(segment.temperature > CONDITION_TEMPERATURE_MAX for segment in segments):
            recording.previous = ()
            return
        said = prompt_tokens(self._tokenizer, " ".join(segment.text for segment in segments))
        recording.previous = (*recording.previous, *said)[-self._context :]

    def _segments(self, hearing: Hearing, decoded: Decoded) -> list[Segment]:
        window = hearing.window
        window_seconds = window.samples.size / SAMPLE_RATE
        found = list(spans(decoded.tokens, self._special, window_seconds))
        return [
            Segment(
                start_seconds=window.start_seconds + span.start_seconds,
                end_seconds=window.start_seconds + span.end_seconds,
                text=text,
                average_log_probability=decoded.average_log_probability,
                no_speech_probability=decoded.no_speech_probability,
                compression_ratio=decoded.compression_ratio,
                temperature=decoded.temperature,
                doubts=doubts(text),
                words=words,
            )
            for span, words in zip(found, self._words(hearing, found), strict=True)
            if (text := text_of(self._tokenizer, self._special, span.tokens))
        ]

    def _words(self, hearing: Hearing, found: Sequence[Span]) -> Sequence[tuple[Word, ...]]:
        """The words of each span, where their times are asked for."""
        recording, window = hearing.utterance.recording, hearing.window
        if recording.options.timestamps is not TimestampLevel.WORD or not found:
            return [()] * len(found)
        text = [token for span in found for token in span.tokens]
        tokens = aligned_tokens(self._special, hearing.row.rest or (), text)
        with timed(Stage.ALIGN, hearing.meter):
            weights, log_probabilities = self._model.align(hearing.row.index, tokens)
            return words_of(
                weights.numpy(),
                log_probabilities.numpy(),
                found,
                tokenizer=self._tokenizer,
                language=recording.language if self._multilingual else None,
                window_start_seconds=window.start_seconds,
                window_seconds=window.samples.size / SAMPLE_RATE,
            )

    def _mel(self, window: Window) -> Tensor:
        return log_mel(window.samples, self.mel_bins)

    def _unsupported(self, option: str, value: str | None, problem: str) -> UnsupportedOption:
        return UnsupportedOption(option=option, value=value, model=self.model_name, problem=problem)


def _seed(window: Window) -> int:
    return round(window.start_seconds * SAMPLE_RATE)
