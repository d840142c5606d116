"""Known texts in real speech, against transformers and against the sound itself."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest
import torch
from transformers.generation.utils import GenerateEncoderDecoderOutput
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from neuron_worker.speech import SAMPLE_RATE, Window
from neuron_worker.transcript import Word
from neuron_worker.whisper.alignment import Alignment, aligned_tokens
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.graphs import Encoder
from neuron_worker.whisper.layers import Whisper
from neuron_worker.whisper.mel import log_mel
from neuron_worker.whisper.timestamps import Span
from neuron_worker.whisper.tokens import SpecialTokens
from neuron_worker.whisper.words import split_words, words_of

Floats = npt.NDArray[np.float32]

PAUSE_SECONDS = 0.4
"""Between two sentences of the recordings are at least 0.5 s of silence."""


class Listener:
    """tiny.en, which aligns known texts."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        whisper = Whisper.of(checkpoint.config, checkpoint.state)
        self.tokenizer = checkpoint.tokenizer
        self.special = SpecialTokens.of(checkpoint.tokenizer)
        self._encoder = Encoder(whisper)
        self._alignment = Alignment.of(whisper, checkpoint)

    def span(self, text: str, start_seconds: float, end_seconds: float) -> Span:
        tokens = self.tokenizer.encode(f" {text.strip()}", add_special_tokens=False).ids
        return Span(start_seconds, end_seconds, tuple(tokens))

    @torch.no_grad()
    def attention(self, samples: Floats, spans: Sequence[Span]) -> tuple[Floats, Floats]:
        text = [token for span in spans for token in span.tokens]
        tokens = torch.tensor([aligned_tokens(self.special, (), text)], dtype=torch.int32)
        heard = self._encoder(log_mel(samples, 80).unsqueeze(0))
        weights, log_probabilities = self._alignment(tokens, *heard)
        return weights[0].numpy(), log_probabilities[0].numpy()

    def words(self, samples: Floats, text: str) -> list[Word]:
        """The words of a text in the samples, as one span."""
        seconds = samples.size / SAMPLE_RATE
        spans = [self.span(text, 0.0, seconds)]
        (words,) = words_of(
            *self.attention(samples, spans),
            spans,
            tokenizer=self.tokenizer,
            language=None,
            window_start_seconds=0.0,
            window_seconds=seconds,
        )
        return list(words)


@pytest.fixture(scope="module")
def listener(tiny_en: Checkpoint) -> Listener:
    return Listener(tiny_en)


def onsets(samples: Floats) -> list[float]:
    """When sound begins after a pause, in seconds."""
    loud = np.flatnonzero(np.abs(samples) > 0.02) / SAMPLE_RATE
    begins = np.diff(loud, prepend=-PAUSE_SECONDS) >= PAUSE_SECONDS
    return [float(onset) for onset in loud[begins]]


def test_words_start_where_transformers_says(
    listener: Listener,
    transformers_tiny_en: WhisperForConditionalGeneration,
    speech: list[Window],
    references: list[str],
) -> None:
    samples, text = speech[2].samples, references[2]
    seconds = samples.size / SAMPLE_RATE
    span = listener.span(text, 0.0, seconds)
    weights, _ = listener.attention(samples, [span])
    # Transformers wants all heads of all layers, and no row for end-of-text.
    heads = torch.from_numpy(weights[None, :, :-1])
    outputs = GenerateEncoderDecoderOutput(
        sequences=torch.zeros(1, heads.shape[2]), cross_attentions=((heads,) * 4,)
    )
    theirs = transformers_tiny_en._extract_token_timestamps(
        outputs,
        alignment_heads=[(0, head) for head in range(heads.shape[1])],
        num_frames=round(seconds * 100),
        num_input_ids=1,
    )[0, 1:].tolist()
    starts, at = list[float](), 0
    for part, count in split_words(listener.tokenizer, span.tokens, None):
        if part.strip().isalnum():
            starts.append(theirs[at])
        at += count
    words = listener.words(samples, text)
    differences = [
        abs(word.start_seconds - start) for word, start in zip(words, starts, strict=True)
    ]
    assert len(differences) > 70
    # All but the first, which begins where the window does for transformers.
    assert sorted(differences)[-2] <= 0.02 + 1e-6


def test_sentences_begin_where_sound_does(
    listener: Listener, speech: list[Window], references: list[str]
) -> None:
    for window, text in zip(speech, references, strict=True):
        words = listener.words(window.samples, text)
        begins = [0, *(i + 1 for i, word in enumerate(words[:-1]) if word.text.endswith("."))]
        heard = onsets(window.samples)
        assert len(begins) > 1
        for index in begins:
            late = min((words[index].start_seconds - onset for onset in heard), key=abs)
            assert abs(late) <= 0.3, words[index]


def test_known_words_are_likely_and_others_are_not(
    listener: Listener, speech: list[Window], references: list[str]
) -> None:
    wrong = references[0].replace("boat", "cabbage")
    words = {word.text.strip(): word for word in listener.words(speech[0].samples, wrong)}
    assert words["cabbage"].probability < 0.01
    assert words["morning"].probability > 0.9


def test_words_move_with_the_sound(
    listener: Listener, speech: list[Window], references: list[str]
) -> None:
    delay = 3.0
    silence = np.zeros(int(delay * SAMPLE_RATE), np.float32)
    for window, text in zip(speech[:2], references, strict=False):
        words = listener.words(window.samples, text)
        later = listener.words(np.concatenate([silence, window.samples]), text)
        assert [word.text for word in later] == [word.text for word in words]
        # What the encoder makes of a frame depends a little on its place.
        moved = [b.start_seconds - a.start_seconds for a, b in zip(words, later, strict=True)]
        assert moved == pytest.approx([delay] * len(words), abs=0.3)
        assert np.median(moved) == pytest.approx(delay, abs=0.02)
