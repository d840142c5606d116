from collections.abc import Iterator
from dataclasses import replace

import jiwer
import numpy as np
import pytest
import torch
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from neuron_worker.contract import Options, Reason, Task
from neuron_worker.speech import SAMPLE_RATE, Window
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.cpu import CpuRuntime
from neuron_worker.whisper.decoding import Decoded
from neuron_worker.whisper.errors import UnsupportedOption
from neuron_worker.whisper.runtime import Shapes
from neuron_worker.whisper.transcriber import Transcriber, WindowTranscript, is_silent

WORD_ERROR_RATE_MAX = 0.08
"""tiny.en makes 2 % errors in these clear recordings; a wrong weight makes it babble."""


def transcriber_of(checkpoint: Checkpoint, batch_size: int) -> Transcriber:
    return Transcriber(checkpoint, CpuRuntime().compile(checkpoint, Shapes(batch_size)))


@pytest.fixture(scope="module")
def transcriber(tiny_en: Checkpoint) -> Transcriber:
    return transcriber_of(tiny_en, batch_size=2)


@pytest.fixture(scope="module")
def transcripts(transcriber: Transcriber, speech: list[Window]) -> list[WindowTranscript]:
    return list(transcriber.transcribe(speech, Options()))


def text_of(transcript: WindowTranscript) -> str:
    return " ".join(segment.text for segment in transcript.segments)


def test_speech_becomes_its_text(
    transcripts: list[WindowTranscript], references: list[str]
) -> None:
    normal = EnglishTextNormalizer({"harbour": "harbor"})
    expected = [normal(text) for text in references]
    found = [normal(text_of(transcript)) for transcript in transcripts]
    assert jiwer.wer(expected, found) < WORD_ERROR_RATE_MAX, found


def test_what_the_decoder_leaves_for_later_is_heard_too(
    transcriber: Transcriber, full_window: Window
) -> None:
    [transcript] = transcriber.transcribe([full_window], Options())
    assert "blue skies" in text_of(transcript)
    times = [segment.start_seconds for segment in transcript.segments]
    assert times == sorted(times)


def test_segments_are_inside_their_window_and_in_order(
    transcripts: list[WindowTranscript], speech: list[Window]
) -> None:
    for transcript, window in zip(transcripts, speech, strict=True):
        assert transcript.window_start_seconds == window.start_seconds
        assert transcript.window_seconds == window.samples.size / SAMPLE_RATE
        end = window.start_seconds
        for segment in transcript.segments:
            assert end <= segment.start_seconds < segment.end_seconds
            end = segment.end_seconds
        assert end <= window.start_seconds + transcript.window_seconds


def test_segments_have_text_alone_and_say_how_sure_they_are(
    transcripts: list[WindowTranscript],
) -> None:
    segments = [segment for transcript in transcripts for segment in transcript.segments]
    assert len(segments) > 5
    for segment in segments:
        assert segment.text
        assert segment.text == segment.text.strip()
        assert "<|" not in segment.text
        assert -1.0 < segment.average_log_probability < 0.0
        assert 0.0 < segment.no_speech_probability < 0.6


def test_an_english_only_model_says_english(transcripts: list[WindowTranscript]) -> None:
    assert {transcript.language for transcript in transcripts} == {"en"}


@pytest.mark.parametrize(
    ("no_speech", "average", "silent"),
    [(0.61, -1.01, True), (0.59, -1.01, False), (0.61, -0.99, False), (0.1, -0.1, False)],
)
def test_a_window_is_silent_if_nothing_speaks_for_its_text(
    no_speech: float, average: float, silent: bool
) -> None:
    assert is_silent(Decoded((1, 2), average, no_speech)) is silent


def test_a_silent_window_has_no_segments(transcriber: Transcriber, tiny_en: Checkpoint) -> None:
    window = Window(3.0, np.zeros(SAMPLE_RATE, np.float32))
    text = tiny_en.tokenizer.encode(" Thank you.", add_special_tokens=False).ids
    said = Decoded(tuple(text), average_log_probability=-0.9, no_speech_probability=0.9)
    (segment,) = transcriber._segments(window, said)
    assert (segment.start_seconds, segment.end_seconds) == (3.0, 4.0)
    assert segment.text == "Thank you."
    made_up = replace(said, average_log_probability=-1.1)
    assert list(transcriber._segments(window, made_up)) == []


def small_windows(taken: list[int], count: int) -> Iterator[Window]:
    """A second of a higher tone each; an index is put into `taken` when its window is."""
    times = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    for index in range(count):
        taken.append(index)
        tone = np.sin(2 * np.pi * 200 * 2**index * times).astype(np.float32)
        yield Window(float(index), tone)


@pytest.fixture
def multilingual(tiny_en: Checkpoint) -> Checkpoint:
    """A multilingual Whisper as it comes from the factory: small, and of random weights."""
    config = type(tiny_en.config).from_dict(tiny_en.config.to_dict())
    config.d_model, config.encoder_layers, config.decoder_layers = 48, 1, 1
    config.encoder_ffn_dim = config.decoder_ffn_dim = 48
    generator = torch.Generator().manual_seed(4)
    kept = ("layers.1.", "layers.2.", "layers.3.")
    config.max_target_positions = 32
    sizes = {384: 48, 1536: 48, 448: 32}
    state = {
        name: torch.randn([sizes.get(n, n) for n in tensor.shape], generator=generator)
        for name, tensor in tiny_en.state.items()
        if not any(layer in name for layer in kept)
    }
    # What is heard must outweigh the embedding of the one token that is fed.
    state["model.decoder.layers.0.encoder_attn.out_proj.weight"] *= 100
    generation = replace(tiny_en.generation, is_multilingual=True)
    return replace(tiny_en, name="many", config=config, state=state, generation=generation)


def test_windows_are_taken_batch_by_batch(multilingual: Checkpoint) -> None:
    taken: list[int] = []
    results = transcriber_of(multilingual, batch_size=2).transcribe(
        small_windows(taken, 5), Options(language="de")
    )
    seen = [(result.window_start_seconds, len(taken)) for result in results]
    assert seen == [(0.0, 2), (1.0, 2), (2.0, 4), (3.0, 4), (4.0, 5)]


def test_no_windows_are_no_transcripts(transcriber: Transcriber) -> None:
    assert list(transcriber.transcribe([], Options())) == []


def test_the_language_of_the_first_window_is_kept(multilingual: Checkpoint) -> None:
    alone = [
        next(transcriber_of(multilingual, 1).transcribe([window], Options())).language
        for window in small_windows([], 5)
    ]
    assert len(set(alone)) > 1, "the windows must differ for this test to tell"
    for batch_size in (1, 4):
        transcriber = transcriber_of(multilingual, batch_size)
        together = list(transcriber.transcribe(small_windows([], 5), Options()))
        assert [transcript.language for transcript in together] == [alone[0]] * 5


def test_a_given_language_is_kept(multilingual: Checkpoint) -> None:
    transcriber = transcriber_of(multilingual, batch_size=2)
    found = transcriber.transcribe(small_windows([], 3), Options(language="haw"))
    assert [transcript.language for transcript in found] == ["haw"] * 3


@pytest.mark.parametrize(
    "options", [Options(), Options(language="en"), Options(prompt="Mr. Wetherby")]
)
def test_an_english_only_model_takes_english(transcriber: Transcriber, options: Options) -> None:
    transcriber.check(options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Options(language="de"), "language='de' cannot be met by model 'tiny.en': it knows Eng"),
        (Options(task=Task.TRANSLATE), "task='translate' cannot be met by model 'tiny.en'"),
    ],
)
def test_an_english_only_model_refuses_other_languages(
    transcriber: Transcriber, options: Options, told: str
) -> None:
    taken: list[int] = []
    with pytest.raises(UnsupportedOption) as refused:
        transcriber.transcribe(small_windows(taken, 1), options)
    assert told in str(refused.value)
    assert refused.value.reason is Reason.UNSUPPORTED_OPTION
    assert taken == []


def test_a_multilingual_model_refuses_a_language_it_does_not_know(
    multilingual: Checkpoint,
) -> None:
    transcriber = transcriber_of(multilingual, batch_size=1)
    transcriber.check(Options(language="de", task=Task.TRANSLATE))
    with pytest.raises(UnsupportedOption, match=r"language='xx' .*it knows af, am, "):
        transcriber.check(Options(language="xx"))


def test_a_prompt_shapes_the_text_and_is_no_part_of_it(
    transcriber: Transcriber, transcripts: list[WindowTranscript], speech: list[Window]
) -> None:
    assert "from the Harbor office." in text_of(transcripts[0])
    options = Options(prompt="Welcome to the harbour.")
    (transcript,) = transcriber.transcribe(speech[:1], options)
    assert text_of(transcript).startswith("Good morning from the Harbour Office.")
