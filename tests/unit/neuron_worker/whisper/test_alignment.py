from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from neuron_worker.speech import Window
from neuron_worker.whisper.alignment import (
    TOKENS_MAX,
    Alignment,
    aligned_tokens,
    alignment_heads,
    static_tokens,
)
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.graphs import Encoder
from neuron_worker.whisper.layers import Whisper
from neuron_worker.whisper.mel import log_mel
from neuron_worker.whisper.tokens import SpecialTokens

pytestmark = pytest.mark.usefixtures("without_gradients")

HEADS = ((2, 1), (0, 3), (2, 0))
"""Of the small model: neither in order nor in every layer."""


@pytest.fixture
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def a_mel(rows: int) -> Tensor:
    return torch.randn(rows, 80, 100, generator=torch.Generator().manual_seed(rows))


def some_tokens(rows: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 180, (rows, count), generator=generator, dtype=torch.int32)


def graphs(
    checkpoint: Checkpoint, dtype: torch.dtype = torch.float32, end_of_text: int = 150
) -> tuple[Encoder, Alignment]:
    whisper = Whisper.of(checkpoint.config, checkpoint.state, dtype)
    return Encoder(whisper), Alignment(whisper, HEADS, end_of_text)


def heard_by_transformers(
    model: WhisperForConditionalGeneration,
    mel: Tensor,
    tokens: Tensor,
    heads: Sequence[tuple[int, int]],
    end_of_text: int,
) -> tuple[Tensor, Tensor]:
    """Cross-attention [B, heads, T, 1500] and each next token's log-probability [B, T - 1]."""
    model.set_attn_implementation("eager")
    try:
        heard = model(mel, decoder_input_ids=tokens.long(), output_attentions=True)
    finally:
        model.set_attn_implementation("sdpa")
    weights = torch.stack([heard.cross_attentions[layer][:, head] for layer, head in heads], dim=1)
    gained = heard.logits[:, :-1, :end_of_text].log_softmax(dim=-1)
    following = tokens[:, 1:].long()
    is_text = following < end_of_text
    chosen = gained.gather(-1, following.where(is_text, 0).unsqueeze(-1)).squeeze(-1)
    return weights, chosen.where(is_text, 0.0)


def test_attention_and_probabilities_are_transformers(
    small: Checkpoint, transformers_small: WhisperForConditionalGeneration
) -> None:
    mel, tokens = a_mel(3), some_tokens(3, 48)
    encoder, alignment = graphs(small)
    weights, log_probabilities = alignment(tokens, *encoder(mel))
    theirs = heard_by_transformers(transformers_small, mel, tokens, HEADS, end_of_text=150)
    torch.testing.assert_close(weights, theirs[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(log_probabilities[:, :-1], theirs[1], atol=1e-4, rtol=0)
    assert (log_probabilities[:, -1] == 0).all()
    assert 0 < (theirs[1] == 0).sum() < theirs[1].numel() / 2


def test_tiny_en_attends_as_in_transformers(
    tiny_en: Checkpoint,
    transformers_tiny_en: WhisperForConditionalGeneration,
    speech: list[Window],
) -> None:
    special = SpecialTokens.of(tiny_en.tokenizer)
    text = tiny_en.tokenizer.encode(" Good morning from the harbour office.").ids
    tokens = torch.tensor([aligned_tokens(special, (), text)], dtype=torch.int32)
    mel = log_mel(speech[0].samples, 80).unsqueeze(0)
    whisper = Whisper.of(tiny_en.config, tiny_en.state)
    alignment = Alignment.of(whisper, tiny_en)
    weights, log_probabilities = alignment(tokens, *Encoder(whisper)(mel))
    theirs = heard_by_transformers(
        transformers_tiny_en, mel, tokens, tiny_en.generation.alignment_heads, special.end_of_text
    )
    torch.testing.assert_close(weights, theirs[0], atol=1e-4, rtol=0)
    torch.testing.assert_close(log_probabilities[:, :-1], theirs[1], atol=1e-3, rtol=0)
    assert log_probabilities[0, 1 : 1 + len(text)].exp().median() > 0.5


def test_what_fills_a_row_changes_nothing_before_it(small: Checkpoint) -> None:
    encoder, alignment = graphs(small)
    heard = encoder(a_mel(1))
    tokens = some_tokens(1, 20)
    weights, log_probabilities = alignment(tokens, *heard)
    filled = torch.cat([tokens, some_tokens(1, 28)], dim=1)
    longer_weights, longer_log_probabilities = alignment(filled, *heard)
    torch.testing.assert_close(longer_weights[:, :, :20], weights, atol=1e-5, rtol=0)
    torch.testing.assert_close(
        longer_log_probabilities[:, :19], log_probabilities[:, :19], atol=1e-4, rtol=0
    )


def test_rows_do_not_mix(small: Checkpoint) -> None:
    encoder, alignment = graphs(small)
    mel, tokens = a_mel(3), some_tokens(3, 12)
    together = alignment(tokens, *encoder(mel))
    for row in range(3):
        alone = alignment(tokens[row, None], *encoder(mel[row, None]))
        for ours, other in zip(together, alone, strict=True):
            torch.testing.assert_close(ours[row, None], other, atol=1e-4, rtol=0)


def test_bfloat16_stays_close_to_float32_and_is_float32_outside(small: Checkpoint) -> None:
    mel, tokens = a_mel(2), some_tokens(2, 20)
    results = []
    for dtype in (torch.float32, torch.bfloat16):
        encoder, alignment = graphs(small, dtype)
        results.append(alignment(tokens, *encoder(mel.to(dtype))))
    for wide, narrow in zip(*results, strict=True):
        assert narrow.dtype == torch.float32
        assert torch.cosine_similarity(narrow, wide, dim=-1).mean() > 0.99
    sums = results[1][0].sum(dim=-1)
    torch.testing.assert_close(sums, torch.ones_like(sums), atol=1e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_graph_exports_with_static_shapes(small: Checkpoint, dtype: torch.dtype) -> None:
    encoder, alignment = graphs(small, dtype)
    arguments = some_tokens(2, 20), *encoder(a_mel(2).to(dtype))
    program = torch.export.export(alignment, arguments)
    others = some_tokens(2, 20).flip(1), *encoder(a_mel(2).flip(0).to(dtype))
    torch.testing.assert_close(program.module()(*others), alignment(*others))
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not {name for name in called if "nonzero" in name or "sort" in name or "item" in name}
    assert not program.range_constraints


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_the_graph_traces_with_static_shapes(small: Checkpoint) -> None:
    encoder, alignment = graphs(small)
    arguments = some_tokens(2, 20), *encoder(a_mel(2))
    traced = torch.jit.trace(alignment, arguments)
    others = some_tokens(2, 20).flip(1), *encoder(a_mel(2).flip(0))
    torch.testing.assert_close(traced(*others), alignment(*others))


def test_the_vocabulary_stays_inside_the_graph(small: Checkpoint) -> None:
    encoder, alignment = graphs(small)
    program = torch.export.export(alignment, (some_tokens(2, 20), *encoder(a_mel(2))))
    shapes = [tuple(node.meta["val"].shape) for node in program.graph.output_node().args[0]]
    assert shapes == [(2, len(HEADS), 20, 50), (2, 20)]


def test_a_checkpoint_without_alignment_heads_attends_with_its_upper_half(
    small: Checkpoint,
) -> None:
    assert alignment_heads(small) == tuple((layer, head) for layer in (1, 2) for head in range(4))
    named = replace(small, generation=replace(small.generation, alignment_heads=HEADS))
    assert alignment_heads(named) == HEADS


def test_the_static_length_holds_the_longest_text(small: Checkpoint, tiny_en: Checkpoint) -> None:
    special = SpecialTokens.of(tiny_en.tokenizer)
    longest = aligned_tokens(special, (1, 2), range(tiny_en.config.max_target_positions // 2))
    assert len(longest) <= static_tokens(tiny_en.config) == TOKENS_MAX
    assert static_tokens(small.config) == small.config.max_target_positions
