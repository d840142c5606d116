"""The transcriber listens to real speech with real weights."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain, pairwise, zip_longest

import jiwer
import numpy as np
import pytest
from transformers.models.whisper.english_normalizer import (
    BasicTextNormalizer,
    EnglishTextNormalizer,
)

from neuron_worker.contract import Options, TimestampLevel
from neuron_worker.speech import SAMPLE_RATE, SpeechCutter, Stretch, Window
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.cpu import CpuModel
from neuron_worker.whisper.fallback import TEMPERATURES, Decoded
from neuron_worker.whisper.recording import Recording, Utterance, WindowTranscript
from neuron_worker.whisper.rows import Row, Rows
from neuron_worker.whisper.transcriber import Transcriber
from tests.scripted import Queued, text_of

Compile = Callable[[Checkpoint, int], CpuModel]

WORD_ERROR_RATE_MAX = 0.06
"""tiny.en makes 4 % errors in these clear recordings; a wrong weight makes it babble."""

NORMAL = EnglishTextNormalizer({"harbour": "harbor"})


@pytest.fixture(scope="module")
def transcriber(tiny_en: Checkpoint, compiled: Compile) -> Transcriber:
    return Transcriber(tiny_en, compiled(tiny_en, 3))


def utterances(
    transcriber: Transcriber, windows: Sequence[Window], options: Options
) -> tuple[Recording, list[Utterance]]:
    recording = transcriber.begin(options)
    return recording, [
        transcriber.utterance(recording, index, window, last=index == len(windows) - 1)
        for index, window in enumerate(windows)
    ]


def transcribed(
    transcriber: Transcriber, windows: Sequence[Window], options: Options | None = None
) -> list[WindowTranscript]:
    """The transcripts of one recording's windows, in order."""
    _, asked = utterances(transcriber, windows, options or Options())
    found = list(transcriber.transcribe(Queued(asked)))
    return sorted(found, key=lambda transcript: transcript.index)


@pytest.fixture(scope="module")
def alone(
    transcriber: Transcriber, recordings: dict[str, list[Window]]
) -> dict[str, list[WindowTranscript]]:
    """What each recording is transcribed to while there is no other."""
    return {name: transcribed(transcriber, windows) for name, windows in recordings.items()}


def test_speech_becomes_its_text(
    alone: dict[str, list[WindowTranscript]], recording_texts: dict[str, str]
) -> None:
    expected = [NORMAL(recording_texts[name]) for name in alone]
    found = [NORMAL(" ".join(map(text_of, transcripts))) for transcripts in alone.values()]
    assert jiwer.wer(expected, found) < WORD_ERROR_RATE_MAX, found


def test_recordings_that_share_a_batch_have_the_texts_they_have_alone(
    transcriber: Transcriber,
    recordings: dict[str, list[Window]],
    alone: dict[str, list[WindowTranscript]],
) -> None:
    asked = {
        name: utterances(transcriber, of_one, Options()) for name, of_one in recordings.items()
    }
    mixed = chain.from_iterable(zip_longest(*(windows for _, windows in asked.values())))
    found = list(transcriber.transcribe(Queued([window for window in mixed if window])))
    assert len(found) == sum(map(len, recordings.values()))
    for name, (recording, _) in asked.items():
        mine = [transcript for transcript in found if transcript.recording is recording]
        assert_alike(sorted(mine, key=lambda transcript: transcript.index), alone[name])


def assert_alike(found: Sequence[WindowTranscript], expected: Sequence[WindowTranscript]) -> None:
    """Equal but for the last digits of probabilities, which depend on the size of a batch."""
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.index == theirs.index
        for segment, other in zip(mine.segments, theirs.segments, strict=True):
            average, no_speech = other.average_log_probability, other.no_speech_probability
            assert segment.average_log_probability == pytest.approx(average, abs=1e-4)
            assert segment.no_speech_probability == pytest.approx(no_speech, abs=1e-4)
            same = replace(
                segment, average_log_probability=average, no_speech_probability=no_speech
            )
            assert same == other


def test_segments_are_inside_their_window_and_in_order(
    alone: dict[str, list[WindowTranscript]],
) -> None:
    for transcript in chain.from_iterable(alone.values()):
        edges = [
            edge
            for segment in transcript.segments
            for edge in (segment.start_seconds, segment.end_seconds)
        ]
        assert edges == sorted(edges)
        assert transcript.window.start_seconds <= edges[0]
        assert edges[-1] <= transcript.window.end_seconds + 1e-9


def test_segments_have_text_alone_and_say_how_sure_they_are(
    alone: dict[str, list[WindowTranscript]],
) -> None:
    transcripts = chain.from_iterable(alone.values())
    segments = [segment for transcript in transcripts for segment in transcript.segments]
    assert len(segments) > 20
    for segment in segments:
        assert segment.text
        assert segment.text == segment.text.strip()
        assert "<|" not in segment.text
        assert -1.0 < segment.average_log_probability < 0.0
        assert 0.0 < segment.no_speech_probability < 0.6
        assert 0.5 < segment.compression_ratio < 2.4
        assert segment.doubts == ()


def test_what_the_decoder_leaves_for_later_is_heard_too(
    transcriber: Transcriber, full_window: Window
) -> None:
    [transcript] = transcribed(transcriber, [full_window])
    assert "blue skies" in text_of(transcript)


def test_a_quiet_voice_that_whisper_passes_over_is_heard_by_itself(
    transcriber: Transcriber, recordings: dict[str, list[Window]]
) -> None:
    """Two clips that have nothing to do with each other, the second 36 dB below the first."""
    loud = recordings["weather.mp3"][0].part(Stretch(17.6, 27.2)).samples
    quiet = recordings["archive.opus"][0].part(Stretch(18.8, 27.1)).samples
    pause = np.zeros(SAMPLE_RATE // 2, np.float32)
    cutter = SpeechCutter()
    together = np.concatenate([loud, pause, quiet * np.float32(0.015), pause])
    [window] = [*cutter.push(together), *cutter.finish()]
    [passed_over] = transcribed(transcriber, [replace(window, speech=())])
    assert "than listening" not in text_of(passed_over), "it must be passed over at first"
    [transcript] = transcribed(transcriber, [window])
    for said in ("Dark clouds", "storm has passed", "than listening", "for a name or a street"):
        assert said in text_of(transcript)
    edges = [e for s in transcript.segments for e in (s.start_seconds, s.end_seconds)]
    assert edges == sorted(edges)


def test_a_window_that_loops_is_tried_hotter_beside_others_that_keep_their_text(
    tiny_en: Checkpoint,
    compiled: Compile,
    recordings: dict[str, list[Window]],
    alone: dict[str, list[WindowTranscript]],
) -> None:
    """An intermittent tone: whatever Whisper makes of it repeats, until it is seen as silence."""
    times = np.arange(29 * SAMPLE_RATE) / SAMPLE_RATE
    beeps = 0.3 * np.sin(2 * np.pi * 440 * times) * (np.sin(2 * np.pi * 2 * times) > 0)
    tone = Window(0.0, beeps.astype(np.float32))
    tries = list[Decoded]()

    class Noting(Rows):
        def decoded(self, row: Row) -> Decoded:
            tries.append(super().decoded(row))
            return tries[-1]

    model = compiled(tiny_en, 3)
    # A loop then ends after 64 tokens, which is enough for the others.
    model.config = replace(model.config, max_target_positions=128)
    transcriber = Transcriber(tiny_en, model)
    transcriber._rows = Noting(model, transcriber._rows._rules, tiny_en.tokenizer)
    noisy, loops = utterances(transcriber, [tone], Options())
    clean, windows = utterances(transcriber, recordings["harbour.flac"], Options())
    found = list(transcriber.transcribe(Queued([windows[0], *loops, windows[1]])))
    hot = [one.temperature for one in tries if one.temperature > 0]
    assert hot == list(TEMPERATURES[1 : len(hot) + 1])
    assert len(hot) >= 2
    assert [text_of(one) for one in found if one.recording is noisy] == [""]
    mine = [one for one in found if one.recording is clean]
    assert_alike(sorted(mine, key=lambda one: one.index), alone["harbour.flac"])


def test_a_prompt_shapes_the_text_and_is_no_part_of_it(
    transcriber: Transcriber, speech: list[Window]
) -> None:
    [plain] = transcribed(transcriber, speech[:1])
    assert "from the Harbor office." in text_of(plain)
    for options in (Options(prompt="Welcome to the harbour."), Options(hotwords=("harbour",))):
        [prompted] = transcribed(transcriber, speech[:1], options)
        assert text_of(prompted).lower().startswith("good morning from the harbour")


def test_words_come_when_asked_for_and_change_nothing_else(
    transcriber: Transcriber,
    recordings: dict[str, list[Window]],
    alone: dict[str, list[WindowTranscript]],
) -> None:
    asked = Options(timestamps=TimestampLevel.WORD)
    for name in ("harbour.flac", "interview.m4a"):
        found = transcribed(transcriber, recordings[name], asked)
        words = [w for transcript in found for s in transcript.segments for w in s.words]
        assert not [s for transcript in alone[name] for s in transcript.segments if s.words]
        for mine, theirs in zip(found, alone[name], strict=True):
            assert [s.text for s in mine.segments] == [s.text for s in theirs.segments]
            for segment, other in zip(mine.segments, theirs.segments, strict=True):
                assert segment.text == "".join(word.text for word in segment.words).strip()
                assert segment.start_seconds == segment.words[0].start_seconds
                assert segment.end_seconds == segment.words[-1].end_seconds
                # Whisper's own timestamps are whole seconds now and then.
                assert segment.start_seconds == pytest.approx(other.start_seconds, abs=1.5)
                assert segment.end_seconds == pytest.approx(other.end_seconds, abs=1.5)
        assert len(words) > 50
        for before, after in pairwise(words):
            assert before.start_seconds <= before.end_seconds <= after.start_seconds


def test_each_window_goes_on_from_the_text_before_it(
    transcriber: Transcriber, recordings: dict[str, list[Window]], recording_texts: dict[str, str]
) -> None:
    shown = Options(condition_on_previous=True, prompt="Notes from a tape archive.")
    found = transcribed(transcriber, recordings["archive.opus"], shown)
    text = NORMAL(" ".join(map(text_of, found)))
    assert jiwer.wer(NORMAL(recording_texts["archive.opus"]), text) < WORD_ERROR_RATE_MAX
    assert "notes from" not in text


def test_languages_are_heard_and_written(
    base: Checkpoint, compiled: Compile, foreign_speech: list[tuple[Window, str, str]]
) -> None:
    """Each recording elects its own, beside the other in the batch."""
    transcriber = Transcriber(base, compiled(base, 2))
    asked = [utterances(transcriber, [window], Options()) for window, _, _ in foreign_speech]
    source = Queued([windows[0] for _, windows in asked])
    found = {one.recording: text_of(one) for one in transcriber.transcribe(source)}
    normal = BasicTextNormalizer()
    for (recording, _), (_, language, text) in zip(asked, foreign_speech, strict=True):
        assert recording.language == language
        assert recording.language_probability is not None
        assert recording.language_probability > 0.8
        assert jiwer.cer(normal(text), normal(found[recording])) < 0.15, found[recording]
