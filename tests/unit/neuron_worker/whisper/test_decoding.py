from dataclasses import replace

import pytest
import torch
from transformers import GenerationConfig, GenerationMixin
from transformers.generation.logits_process import (
    LogitsProcessorList,
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from neuron_worker.contract import Task
from neuron_worker.speech import Window
from neuron_worker.whisper.checkpoint import Checkpoint, Generation
from neuron_worker.whisper.cpu import CpuModel, CpuRuntime
from neuron_worker.whisper.decoding import Decoded, Rules, decode_greedy, language_probabilities
from neuron_worker.whisper.mel import log_mel
from neuron_worker.whisper.runtime import Shapes
from neuron_worker.whisper.tokens import Prompt, SpecialTokens, previous_text, prompt_for


@pytest.fixture(scope="module")
def model(tiny_en: Checkpoint) -> CpuModel:
    return CpuRuntime().compile(tiny_en, Shapes(batch_size=2))


@pytest.fixture(scope="module")
def mel(speech: list[Window]) -> torch.Tensor:
    return torch.stack([log_mel(window.samples, 80) for window in speech[:2]])


def rules_of(checkpoint: Checkpoint) -> Rules:
    special = SpecialTokens.of(checkpoint.tokenizer)
    return Rules(special, checkpoint.generation, checkpoint.config.vocab_size)


def transformers_greedy(
    model: WhisperForConditionalGeneration, mel: torch.Tensor, prompt: list[int], rules: Rules
) -> list[Decoded]:
    """What transformers' greedy search with its own Whisper processors makes of the windows."""
    special, generation = rules.special, rules.generation
    config = GenerationConfig(
        do_sample=False,
        num_beams=1,
        max_new_tokens=224,
        eos_token_id=special.end_of_text,
        pad_token_id=special.end_of_text,
        no_timestamps_token_id=special.no_timestamps,
        max_initial_timestamp_index=generation.max_initial_timestamp_index,
    )
    begin = len(prompt)
    processors = LogitsProcessorList(
        [
            SuppressTokensAtBeginLogitsProcessor(generation.begin_suppress_tokens, begin),
            SuppressTokensLogitsProcessor(generation.suppress_tokens),
            WhisperTimeStampLogitsProcessor(config, begin_index=begin),
        ]
    )
    start = torch.tensor([prompt]).expand(len(mel), -1)
    with torch.no_grad():
        encoded = model.get_encoder()(mel)
        logits = model(encoder_outputs=encoded, decoder_input_ids=start).logits
    found = GenerationMixin.generate(
        model,
        generation_config=config,
        logits_processor=processors,
        encoder_outputs=encoded,
        decoder_input_ids=start,
        return_dict_in_generate=True,
        output_scores=True,
    )
    probabilities = logits[:, prompt.index(special.start_of_transcript)].softmax(dim=-1)
    scores = torch.stack(found.scores, dim=1).log_softmax(dim=-1)
    return [
        _decoded(chosen, row, silent, special.end_of_text)
        for chosen, row, silent in zip(
            found.sequences[:, begin:],
            scores,
            probabilities[:, special.no_speech].tolist(),
            strict=True,
        )
    ]


def _decoded(
    chosen: torch.Tensor, scores: torch.Tensor, no_speech_probability: float, end_of_text: int
) -> Decoded:
    tokens = chosen[chosen != end_of_text].tolist()
    gained = scores.gather(1, chosen.unsqueeze(1))[: len(tokens) + 1]
    return Decoded(tuple(tokens), gained.mean().item(), no_speech_probability)


@pytest.mark.parametrize(
    ("text", "rows"), [(None, 2), ("The harbour office, Mr. Wetherby and the archive.", 1)]
)
def test_a_batch_decodes_to_transformers_greedy_tokens(
    text: str | None,
    rows: int,
    tiny_en: Checkpoint,
    transformers_tiny_en: WhisperForConditionalGeneration,
    model: CpuModel,
    mel: torch.Tensor,
) -> None:
    rules = rules_of(tiny_en)
    previous = previous_text(tiny_en.tokenizer, rules.special, text, 448)
    prompt = prompt_for(rules.special, language=None, task=Task.TRANSCRIBE, previous=previous)
    model.encode(mel[:rows])
    ours = decode_greedy(model, rules, prompt, rows)
    start = [*previous, rules.special.start_of_transcript]
    theirs = transformers_greedy(transformers_tiny_en, mel[:rows], start, rules)
    assert [row.tokens for row in ours] == [row.tokens for row in theirs]
    assert min(len(row.tokens) for row in ours) > 20
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.average_log_probability == pytest.approx(
            other.average_log_probability, abs=1e-4
        )
        assert mine.no_speech_probability == pytest.approx(other.no_speech_probability, abs=1e-4)


SMALL = SpecialTokens(
    end_of_text=0,
    start_of_transcript=1,
    start_of_previous=2,
    translate=3,
    transcribe=4,
    no_speech=5,
    no_timestamps=139,
    languages={"en": 6, "de": 7, "fr": 8},
)


@pytest.mark.parametrize(("previous", "bound"), [((), 24), ((2, *range(10, 33)), 24)])
def test_a_row_that_never_ends_is_stopped_at_half_the_context(
    small: Checkpoint, previous: tuple[int, ...], bound: int
) -> None:
    endless = Generation(is_multilingual=False, suppress_tokens=(0,), begin_suppress_tokens=())
    model = CpuRuntime().compile(small, Shapes(batch_size=2))
    model.encode(torch.randn(2, 80, 100))
    rules = Rules(SMALL, endless, 180)
    decoded = decode_greedy(model, rules, Prompt(previous, 1, ()), rows=2)
    assert [len(row.tokens) for row in decoded] == [bound, bound]


def test_a_long_prompt_leaves_the_rest_of_the_context(small: Checkpoint) -> None:
    endless = Generation(is_multilingual=False, suppress_tokens=(0,), begin_suppress_tokens=())
    model = CpuRuntime().compile(small, Shapes(batch_size=1))
    model.encode(torch.randn(1, 80, 100))
    prompt = Prompt((2, *range(10, 40)), 1, ())
    (decoded,) = decode_greedy(model, Rules(SMALL, endless, 180), prompt, rows=1)
    assert len(prompt) + len(decoded.tokens) == small.config.max_target_positions + 1


def test_suppressed_tokens_are_never_chosen(small: Checkpoint) -> None:
    model = CpuRuntime().compile(small, Shapes(batch_size=4))
    model.encode(torch.randn(4, 80, 100, generator=torch.Generator().manual_seed(3)))
    free = Generation(is_multilingual=False, suppress_tokens=(), begin_suppress_tokens=())
    chosen = {
        token
        for row in decode_greedy(model, Rules(SMALL, free, 180), Prompt((), 1, ()), rows=4)
        for token in row.tokens
        if token < SMALL.timestamp_begin
    }
    assert chosen
    banned = replace(free, suppress_tokens=tuple(chosen))
    again = decode_greedy(model, Rules(SMALL, banned, 180), Prompt((), 1, ()), rows=4)
    assert chosen.isdisjoint(token for row in again for token in row.tokens)


def test_languages_are_weighed_after_the_start_alone(
    small: Checkpoint, transformers_small: WhisperForConditionalGeneration
) -> None:
    mel = torch.randn(3, 80, 100, generator=torch.Generator().manual_seed(5))
    model = CpuRuntime().compile(small, Shapes(batch_size=3))
    model.encode(mel)
    ours = language_probabilities(model, SMALL, rows=3)
    with torch.no_grad():
        logits = transformers_small(mel, decoder_input_ids=torch.tensor([[1]] * 3)).logits[:, -1]
    theirs = logits[:, [6, 7, 8]].softmax(dim=-1)
    assert [list(row) for row in ours] == [["en", "de", "fr"]] * 3
    torch.testing.assert_close(
        torch.tensor([list(row.values()) for row in ours]), theirs, atol=1e-4, rtol=0
    )
