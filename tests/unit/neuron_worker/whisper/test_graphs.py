from collections.abc import Iterator
from typing import cast

import pytest
import torch
from torch import Tensor
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from neuron_worker.speech import Window
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.graphs import DecoderStep, Encoder
from neuron_worker.whisper.layers import Whisper
from neuron_worker.whisper.mel import log_mel
from neuron_worker.whisper.state import DecoderState

pytestmark = pytest.mark.usefixtures("without_gradients")


@pytest.fixture
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def a_mel(rows: int) -> Tensor:
    return torch.randn(rows, 80, 100, generator=torch.Generator().manual_seed(rows))


def some_tokens(rows: int, count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    return torch.randint(0, 180, (rows, count), generator=generator, dtype=torch.int32)


def at(*positions: int) -> Tensor:
    return torch.tensor(positions, dtype=torch.int32)


def fed(step: DecoderStep, tokens: Tensor, *positions: int) -> Tensor:
    """The logits after the last of the same number of tokens for every row."""
    return cast(Tensor, step(tokens, at(*positions), at(*[tokens.shape[1] - 1] * len(tokens))))


def inputs(tokens: Tensor, *positions: int) -> tuple[Tensor, Tensor, Tensor]:
    return tokens, at(*positions), at(*[tokens.shape[1] - 1] * len(tokens))


def a_step(
    checkpoint: Checkpoint, mel: Tensor, dtype: torch.dtype = torch.float32, spare: int = 0
) -> DecoderStep:
    """A decoder step whose rows have heard `mel`."""
    whisper = Whisper.of(checkpoint.config, checkpoint.state, dtype)
    state = DecoderState.empty(checkpoint.config, mel.shape[0], dtype, spare)
    encoder = Encoder(whisper)
    for row, window in enumerate(mel.to(dtype)):
        state.hear(row, encoder(window.unsqueeze(0)))
    return DecoderStep(whisper, state)


def test_steps_give_the_logits_of_a_whole_forward(
    small: Checkpoint, transformers_small: WhisperForConditionalGeneration
) -> None:
    mel, tokens = a_mel(3), some_tokens(3, 48)
    step = a_step(small, mel)
    ours = torch.stack([fed(step, tokens[:, i, None], i, i, i) for i in range(48)], dim=1)
    theirs = transformers_small(mel, decoder_input_ids=tokens).logits
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_steps_of_tiny_en_give_the_logits_of_a_whole_forward(
    tiny_en: Checkpoint,
    transformers_tiny_en: WhisperForConditionalGeneration,
    speech: list[Window],
) -> None:
    mel = log_mel(speech[0].samples, 80).unsqueeze(0)
    tokens = torch.tensor([[50257, 50363, 4599, 3329, 422, 262, 25451, 2607, 13]])
    step = a_step(tiny_en, mel)
    ours = torch.stack([fed(step, tokens[:, i, None].int(), i) for i in range(9)], dim=1)
    theirs = transformers_tiny_en(mel, decoder_input_ids=tokens).logits
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_rows_may_be_at_different_positions(
    small: Checkpoint, transformers_small: WhisperForConditionalGeneration
) -> None:
    mel, tokens = a_mel(2), some_tokens(2, 20)
    step = a_step(small, mel)
    # Row 1 is seven tokens ahead of row 0 at every step.
    fed(step, torch.cat([tokens[1:, :7], tokens[1:, :7]]), 0, 0)
    for i in range(12):
        ours = fed(step, torch.stack([tokens[0, i], tokens[1, i + 7]]).unsqueeze(1), i, i + 7)
    theirs = transformers_small(mel, decoder_input_ids=tokens).logits
    torch.testing.assert_close(ours, theirs[[0, 1], [11, 18]], atol=1e-4, rtol=0)


def test_many_tokens_at_once_are_many_single_steps(small: Checkpoint) -> None:
    mel, tokens = a_mel(2), some_tokens(2, 9)
    single = a_step(small, mel)
    for i in range(9):
        expected = fed(single, tokens[:, i, None], i, i)
    many = a_step(small, mel)
    fed(many, tokens[:, :4], 0, 0)
    torch.testing.assert_close(fed(many, tokens[:, 4:], 4, 4), expected, atol=1e-5, rtol=0)


def test_a_row_begins_anew_over_what_it_remembered(small: Checkpoint) -> None:
    mel, tokens = a_mel(1), some_tokens(1, 30)
    used = a_step(small, mel)
    fed(used, some_tokens(1, 40), 0)
    expected = fed(a_step(small, mel), tokens, 0)
    torch.testing.assert_close(fed(used, tokens, 0), expected, atol=1e-5, rtol=0)


def test_rows_may_be_fed_different_numbers_of_tokens(small: Checkpoint) -> None:
    """Any tokens fill a row up; they leave nothing that is seen later."""
    mel, tokens = a_mel(3), some_tokens(3, 20)
    counts, positions = [4, 1, 3], [0, 0, 0]
    ragged, whole = a_step(small, mel), a_step(small, mel)
    for _ in range(3):
        block = some_tokens(3, 4)
        for row, (count, position) in enumerate(zip(counts, positions, strict=True)):
            block[row, :count] = tokens[row, position : position + count]
        ours = ragged(block, at(*positions), at(*[count - 1 for count in counts]))
        positions = [p + count for p, count in zip(positions, counts, strict=True)]
    for row, position in enumerate(positions):
        theirs = fed(whole, tokens[:, :position], 0, 0, 0)
        torch.testing.assert_close(ours[row], theirs[row], atol=1e-4, rtol=0)


def test_rows_beyond_the_context_are_for_filling_up(small: Checkpoint) -> None:
    """A device's batch is always whole: who has nothing to say writes to the spare places."""
    mel, tokens = a_mel(2), some_tokens(2, 20)
    step, alone = a_step(small, mel, spare=4), a_step(small, mel)
    fed(step, tokens[:, :12], 0, 0)
    fed(alone, tokens[:, :12], 0, 0)
    before = [buffer[1, :, :48].clone() for buffer in step.state.buffers()]
    block = torch.stack([tokens[0, 12:16], some_tokens(1, 4)[0]])
    ours = step(block, at(12, 48), at(3, 0))
    theirs = fed(alone, tokens[:, 12:16], 12, 12)
    torch.testing.assert_close(ours[0], theirs[0], atol=1e-5, rtol=0)
    for kept, buffer in zip(before, step.state.buffers(), strict=True):
        assert torch.equal(buffer[1, :, :48], kept)
    assert fed(step, tokens[:, 12:13], 12, 12)[1].isfinite().all()


def test_rows_can_change_places(small: Checkpoint) -> None:
    mel, tokens = a_mel(3), some_tokens(3, 20)
    step = a_step(small, mel)
    expected = fed(step, tokens, 0, 0, 0)
    fed(step, tokens[:, :19], 0, 0, 0)
    step.state.swap(0, 2)
    swapped = fed(step, tokens[[2, 1, 0], 19:], 19, 19, 19)
    torch.testing.assert_close(swapped[[2, 1, 0]], expected, atol=1e-5, rtol=0)


def test_what_a_row_heard_can_be_told(small: Checkpoint) -> None:
    mel = a_mel(3)
    step = a_step(small, mel)
    encoder = Encoder(Whisper.of(small.config, small.state))
    heard = step.state.heard(1)
    for ours, theirs in zip(heard, encoder(mel[1:2]), strict=True):
        assert torch.equal(ours, theirs)


def test_a_view_of_the_state_shares_its_memory(small: Checkpoint) -> None:
    mel, tokens = a_mel(3), some_tokens(3, 20)
    whole = a_step(small, mel)
    expected = fed(whole, tokens, 0, 0, 0)
    fed(whole, some_tokens(3, 19), 0, 0, 0)
    whisper = Whisper.of(small.config, small.state)
    part = DecoderStep(whisper, whole.state.view(slice(1, 3), cache_length=32))
    fed(part, tokens[1:, :19], 0, 0)
    torch.testing.assert_close(
        fed(whole, tokens[:, 19:], 19, 19, 19)[1:], expected[1:], atol=1e-5, rtol=0
    )


def test_bfloat16_stays_close_to_float32(small: Checkpoint) -> None:
    mel, tokens = a_mel(2), some_tokens(2, 10)
    wide = fed(a_step(small, mel), tokens, 0, 0)
    narrow = fed(a_step(small, mel, torch.bfloat16), tokens, 0, 0)
    assert narrow.dtype == torch.float32
    assert torch.cosine_similarity(narrow, wide).min() > 0.995


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_graphs_export_with_static_shapes(small: Checkpoint, dtype: torch.dtype) -> None:
    mel, tokens = a_mel(2), some_tokens(2, 4)
    eager, exported = a_step(small, mel, dtype), a_step(small, mel, dtype)
    encoder = Encoder(Whisper.of(small.config, small.state, dtype))

    encoder_program = torch.export.export(encoder, (mel.to(dtype),)).module()
    torch.testing.assert_close(encoder_program(mel.to(dtype)), encoder(mel.to(dtype)))

    step_program = torch.export.export(exported, inputs(tokens[:, :1], 0, 0)).module()
    for i in range(4):
        arguments = inputs(tokens[:, i, None], i, i)
        torch.testing.assert_close(step_program(*arguments), eager(*arguments))


def test_the_exported_step_has_integers_of_32_bits_and_no_data_dependent_shapes(
    small: Checkpoint,
) -> None:
    step = a_step(small, a_mel(2))
    program = torch.export.export(step, inputs(some_tokens(2, 4), 0, 0))
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not {name for name in called if "nonzero" in name or "sort" in name or "item" in name}
    assert not program.range_constraints
    names = ("tokens", "positions", "last")
    taken = [node.meta["val"] for node in program.graph.nodes if node.name in names]
    assert [tensor.dtype for tensor in taken] == [torch.int32] * 3


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_the_graphs_trace_with_static_shapes(small: Checkpoint) -> None:
    mel, tokens = a_mel(2), some_tokens(2, 4)
    eager, to_trace = a_step(small, mel), a_step(small, mel)
    encoder = Encoder(Whisper.of(small.config, small.state))
    traced_encoder = torch.jit.trace(encoder, (mel,))
    torch.testing.assert_close(traced_encoder(mel), encoder(mel))

    traced = torch.jit.trace(to_trace, inputs(tokens[:, :1], 0, 0))
    for i in range(4):
        arguments = inputs(tokens[:, i, None], i, i)
        torch.testing.assert_close(traced(*arguments), eager(*arguments))
