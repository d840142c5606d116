"""The multilingual model hears other languages as transformers' does."""

import pytest
import torch
from torch import Tensor
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from neuron_worker.contract import Task
from neuron_worker.speech import Window
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.graphs import DecoderStep, Encoder
from neuron_worker.whisper.layers import Whisper
from neuron_worker.whisper.mel import log_mel
from neuron_worker.whisper.state import DecoderState
from neuron_worker.whisper.tokens import SpecialTokens, rest_of_prompt

WHISPER_LANGUAGES = 99
"""Languages of all multilingual models before large-v3 (openai/whisper, tokenizer.py)."""


@pytest.fixture(scope="module")
def special(base: Checkpoint) -> SpecialTokens:
    return SpecialTokens.of(base.tokenizer)


@pytest.fixture(scope="module")
def languages(foreign_speech: list[tuple[Window, str, str]]) -> list[str]:
    return [language for _, language, _ in foreign_speech]


@pytest.fixture(scope="module")
def mel(foreign_speech: list[tuple[Window, str, str]]) -> Tensor:
    return torch.stack([log_mel(window.samples, 80) for window, _, _ in foreign_speech])


@pytest.fixture(scope="module")
def step(base: Checkpoint, mel: Tensor) -> DecoderStep:
    """A decoder step of `base` whose rows have heard the foreign speech."""
    with torch.inference_mode():
        whisper = Whisper.of(base.config, base.state)
        state = DecoderState.empty(base.config, len(mel))
        for row, window in enumerate(mel):
            state.hear(row, Encoder(whisper)(window.unsqueeze(0)))
        return DecoderStep(whisper, state)


@pytest.fixture(scope="module")
def encoded(transformers_base: WhisperForConditionalGeneration, mel: Tensor) -> Tensor:
    """What transformers' encoder makes of the foreign speech."""
    with torch.inference_mode():
        states: Tensor = transformers_base.model.encoder(mel).last_hidden_state
        return states


@torch.inference_mode()
def our_logits(step: DecoderStep, prompts: Tensor) -> Tensor:
    """[rows, vocabulary] after the prompts [rows, tokens], fed at once."""
    rows, count = prompts.shape
    first = torch.zeros(rows, dtype=torch.int32)
    logits: Tensor = step(prompts.int(), first, torch.full_like(first, count - 1))
    return logits


@torch.inference_mode()
def their_logits(
    model: WhisperForConditionalGeneration, encoded: Tensor, prompts: Tensor
) -> Tensor:
    """[rows, vocabulary] after the prompts [rows, tokens]."""
    logits: Tensor = model(encoder_outputs=(encoded,), decoder_input_ids=prompts).logits
    return logits[:, -1]


def test_the_checkpoint_and_its_tokenizer_name_the_same_languages(
    base: Checkpoint, special: SpecialTokens
) -> None:
    assert len(base.generation.language_tokens) == WHISPER_LANGUAGES
    assert sorted(special.languages.values()) == sorted(base.generation.language_tokens)


def test_the_logits_that_tell_the_language_are_transformers(
    step: DecoderStep,
    transformers_base: WhisperForConditionalGeneration,
    encoded: Tensor,
    special: SpecialTokens,
) -> None:
    prompts = torch.full((len(encoded), 1), special.start_of_transcript)
    theirs = their_logits(transformers_base, encoded, prompts)
    torch.testing.assert_close(our_logits(step, prompts), theirs, atol=1e-4, rtol=0)


def test_the_likeliest_language_is_the_one_spoken(
    step: DecoderStep, base: Checkpoint, special: SpecialTokens, languages: list[str]
) -> None:
    prompts = torch.full((len(languages), 1), special.start_of_transcript)
    tokens = torch.tensor(base.generation.language_tokens)
    heard = tokens[our_logits(step, prompts)[:, tokens].argmax(dim=-1)]
    named = {token: language for language, token in special.languages.items()}
    assert [named[token] for token in heard.tolist()] == languages


@pytest.mark.parametrize("task", Task)
def test_the_logits_after_language_and_task_are_transformers(
    task: Task,
    step: DecoderStep,
    transformers_base: WhisperForConditionalGeneration,
    encoded: Tensor,
    special: SpecialTokens,
    languages: list[str],
) -> None:
    prompts = torch.tensor(
        [
            [special.start_of_transcript, *rest_of_prompt(special, language, task)]
            for language in languages
        ]
    )
    theirs = their_logits(transformers_base, encoded, prompts)
    torch.testing.assert_close(our_logits(step, prompts), theirs, atol=1e-4, rtol=0)
