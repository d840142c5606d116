"""What each recording takes of a model whose passes and steps take as long as the test says."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from neuron_worker import meter as module
from neuron_worker.contract import Options, Stage, TimestampLevel
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.recording import Recording
from tests.clock import Clock
from tests.scripted import FULL, LOOPING, Queued, Said, Script, ScriptedTranscriber, its_time

HEAR_SECONDS, STEP_SECONDS, ALIGN_SECONDS = 1.0, 0.25, 8.0


class Timed:
    """A transcriber on the test's clock; its rows hear together unless they are told not to."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        rows: int,
        script: Script,
        monkeypatch: pytest.MonkeyPatch,
        hears_together: int | None = None,
    ) -> None:
        self.clock = Clock()
        monkeypatch.setattr(module, "monotonic", self.clock)
        self.transcriber = ScriptedTranscriber(checkpoint, rows, script, hears_together or rows)
        model = self.transcriber.model
        for name, seconds in (
            ("hear", HEAR_SECONDS),
            ("step", STEP_SECONDS),
            ("align", ALIGN_SECONDS),
        ):
            monkeypatch.setattr(model, name, self._taking(seconds, getattr(model, name)))

    def _taking(self, seconds: float, call: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*given: Any) -> Any:
            self.clock.advance(seconds)
            return call(*given)

        return timed

    def hear(self, *counts: int, options: Options | None = None) -> Sequence[Recording]:
        """Recordings of so many windows each, which take turns."""
        recordings = [self.transcriber.begin(options or Options()) for _ in counts]
        windows = [
            self.transcriber.windows(recording, count)
            for recording, count in zip(recordings, counts, strict=True)
        ]
        turns = sorted(
            (window for some in windows for window in some), key=lambda window: window.index
        )
        for _ in self.transcriber.transcribe(Queued(turns)):
            # What is done with a transcript is no work of Whisper's.
            self.clock.advance(1_000.0)
        return recordings


def test_recordings_that_share_a_batch_share_its_time(
    tiny_en: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = Timed(tiny_en, 2, its_time, monkeypatch)
    one, other = timed.hear(2, 2)

    for recording in (one, other):
        assert recording.meter.seconds[Stage.ENCODE] == pytest.approx(2 * HEAR_SECONDS / 2)
    steps = len(timed.transcriber.model.fed)
    together = sum(one.meter.seconds[Stage.DECODE] for one in (one, other))
    assert together == pytest.approx(steps * STEP_SECONDS)
    assert one.meter.seconds[Stage.DECODE] == pytest.approx(together / 2)
    assert one.meter.seconds[Stage.ALIGN] == 0.0


def test_who_has_more_rows_of_a_step_takes_more_of_it(
    tiny_en: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = Timed(tiny_en, 4, its_time, monkeypatch)
    one, other = timed.hear(3, 1)

    assert one.meter.seconds[Stage.ENCODE] == pytest.approx(3 / 4 * HEAR_SECONDS)
    assert one.meter.seconds[Stage.DECODE] == pytest.approx(3 * other.meter.seconds[Stage.DECODE])


def test_a_row_that_waits_for_its_language_takes_nothing_of_a_step(
    tiny_en: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    generation = replace(tiny_en.generation, is_multilingual=True)
    checkpoint = replace(tiny_en, generation=generation)
    timed = Timed(checkpoint, 4, its_time, monkeypatch, hears_together=1)
    transcriber = timed.transcriber
    waiting, other = transcriber.begin(Options()), transcriber.begin(Options(language="en"))
    [first, last], [window] = transcriber.windows(waiting, 2), transcriber.windows(other, 1)
    found = transcriber.transcribe(Queued([first, window, *[None] * 99, last]))
    assert next(found).recording is other

    steps, shared = (
        len(transcriber.model.fed),
        sum(len(rows) == 2 for rows in transcriber.model.fed),
    )
    assert 0 < shared < steps
    assert waiting.meter.seconds[Stage.DECODE] == pytest.approx(STEP_SECONDS * shared / 2)
    assert other.meter.seconds[Stage.DECODE] == pytest.approx(STEP_SECONDS * (steps - shared / 2))


def test_windows_and_tokens_are_counted_for_their_recording(
    tiny_en: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = Timed(tiny_en, 2, its_time, monkeypatch)
    one, other = timed.hear(3, 1)

    assert (one.meter.windows, other.meter.windows) == (3, 1)
    text = tiny_en.tokenizer.encode(" at 0 s", add_special_tokens=False).ids
    timestamps_and_end = 3
    assert other.meter.tokens == len(text) + timestamps_and_end
    assert one.meter.tokens == 3 * other.meter.tokens
    assert (one.meter.fallbacks, other.meter.fallbacks) == (0, 0)


def test_each_try_at_a_higher_temperature_is_a_fallback_and_its_tokens_count(
    tiny_en: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = [Said([(0.0, LOOPING, 20.0)])] * 2 + [Said([(0.0, FULL, 20.0)])]
    timed = Timed(tiny_en, 1, lambda recording, stretch, count: tries[count], monkeypatch)
    [recording] = timed.hear(1)

    assert recording.meter.fallbacks == 2
    assert recording.meter.windows == 1
    straight = Timed(tiny_en, 1, lambda recording, stretch, count: tries[-1], monkeypatch)
    [well] = straight.hear(1)
    assert well.meter.fallbacks == 0
    assert recording.meter.tokens > well.meter.tokens > 0


def test_finding_the_times_of_words_is_a_stage_of_its_own(
    tiny_en: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    timed = Timed(tiny_en, 2, its_time, monkeypatch)
    [recording] = timed.hear(3, options=Options(timestamps=TimestampLevel.WORD))

    assert recording.meter.seconds[Stage.ALIGN] == pytest.approx(3 * ALIGN_SECONDS)
