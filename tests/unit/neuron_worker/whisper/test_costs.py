"""What the graphs of the large models cost, counted on graphs without weights."""

from collections.abc import Iterator

import pytest
import torch
from torch.export.graph_signature import InputKind
from torch.utils.flop_counter import FlopCounterMode

from neuron_worker.whisper.checkpoint import ModelConfig
from neuron_worker.whisper.graphs import Encoder
from neuron_worker.whisper.layers import Whisper
from neuron_worker.whisper.runtime import Shapes
from neuron_worker.whisper.traced import StatefulStep, frames_of

pytestmark = pytest.mark.usefixtures("without_weights")

SHAPES = Shapes(batch_size=8, dtype="bfloat16")

BYTES = 2
"""Of a bfloat16."""

WINDOWS_PER_HOUR = 120
TOKENS_PER_WINDOW = 130
"""What an hour of speech usually has."""

MEMORY_BYTES_PER_SECOND = 440e9
"""Of a core, where both of a chip are busy: half of 820 GiB/s (AWS Neuron, Inf2 architecture)."""

OVERHEAD_MAX = 1.3
"""How much more than the least the graphs may cost."""

DECODER_LAYERS = {"large-v3": 32, "large-v3-turbo": 4}


@pytest.fixture
def without_weights() -> Iterator[None]:
    with torch.no_grad(), torch.device("meta"):
        yield


def config_of(encoder_layers: int, decoder_layers: int) -> ModelConfig:
    """large-v3's measures, which are large-v3-turbo's too, with another number of layers."""
    return ModelConfig(
        vocab_size=51_866,
        num_mel_bins=128,
        d_model=1280,
        encoder_layers=encoder_layers,
        decoder_layers=decoder_layers,
        encoder_attention_heads=20,
        decoder_attention_heads=20,
        encoder_ffn_dim=5120,
        decoder_ffn_dim=5120,
    )


def flops(program: torch.export.ExportedProgram, *inputs: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        program.module()(*inputs)
    counted: int = counter.get_total_flops()
    return counted


def encoder_flops(encoder_layers: int, decoder_layers: int) -> int:
    config = config_of(encoder_layers, decoder_layers)
    encoder = Encoder(Whisper(config).to(torch.bfloat16))
    mel = torch.zeros(1, 128, frames_of(config), dtype=torch.bfloat16)
    return flops(torch.export.export(encoder, (mel,)), mel)


def step_costs(decoder_layers: int) -> tuple[int, int]:
    """FLOPs of a step, and the bytes that it reads of weights and state."""
    config = config_of(1, decoder_layers)
    step = StatefulStep(Whisper(config).to(torch.bfloat16), config, SHAPES)
    tokens = torch.zeros(SHAPES.batch_size, SHAPES.step_tokens, dtype=torch.int32)
    per_row = torch.zeros(SHAPES.batch_size, dtype=torch.int32)
    inputs = tokens, per_row, per_row.clone()
    program = torch.export.export(step, inputs)
    return flops(program, *inputs), bytes_read(program)


def bytes_read(program: torch.export.ExportedProgram) -> int:
    """Of all parameters that the graph uses, once; of an embedding only the rows it looks up."""
    kinds = {spec.arg.name: spec.kind for spec in program.graph_signature.input_specs}
    looked_up = SHAPES.batch_size * SHAPES.step_tokens
    total = 0
    for node in program.graph.find_nodes(op="placeholder"):
        if kinds[node.name] is not InputKind.PARAMETER or not node.users:
            continue
        tensor: torch.Tensor = node.meta["val"]
        only_looked_up = all("embedding" in str(user.target) for user in node.users)
        total += tensor[:looked_up].nbytes if only_looked_up else tensor.nbytes
    return total


@pytest.fixture
def encoder() -> dict[str, int]:
    """FLOPs of the whole encoders: every layer costs what one more than one does."""
    one = encoder_flops(1, 1)
    per_layer = encoder_flops(2, 1) - one
    per_decoder_layer = encoder_flops(1, 2) - one
    return {
        model: one + 31 * per_layer + (layers - 1) * per_decoder_layer
        for model, layers in DECODER_LAYERS.items()
    }


@pytest.fixture
def step() -> dict[str, tuple[int, int]]:
    """FLOPs and bytes of whole steps, likewise."""
    (flops_of_one, bytes_of_one), (flops_of_two, bytes_of_two) = step_costs(1), step_costs(2)
    return {
        model: (
            flops_of_one + (layers - 1) * (flops_of_two - flops_of_one),
            bytes_of_one + (layers - 1) * (bytes_of_two - bytes_of_one),
        )
        for model, layers in DECODER_LAYERS.items()
    }


def least_flops_per_hour(layers: int) -> float:
    """By multiplications and additions: encoder, cross-attention K/V once, one token at a time."""
    d, vocabulary, context, frames = 1280, 51_866, 448, 1500
    convolutions = 3 * 128 * d * 2 * frames + 3 * d * d * frames
    encoder_layer = 12 * d * d * frames + 2 * frames * frames * d
    cross_keys_values = layers * 2 * d * d * frames
    token = layers * (14 * d * d + 2 * (context + frames) * d) + vocabulary * d
    window = convolutions + 32 * encoder_layer + cross_keys_values
    return 2.0 * WINDOWS_PER_HOUR * (window + TOKENS_PER_WINDOW * token)


def least_bytes_per_hour(layers: int, rows: int) -> float:
    """By reads of a step's weights once for all rows, and of every row's K/V."""
    d, vocabulary, context, frames = 1280, 51_866, 448, 1500
    weights = layers * 14 * d * d + vocabulary * d
    row = layers * 2 * (context + frames) * d
    steps = WINDOWS_PER_HOUR * TOKENS_PER_WINDOW / rows
    return BYTES * steps * (weights + rows * row)


@pytest.mark.parametrize(("layers", "teraflops", "milliseconds"), [(32, 340, 9.44), (4, 283, 1.44)])
def test_the_least_costs_are_those_of_the_roofline(
    layers: int, teraflops: float, milliseconds: float
) -> None:
    assert least_flops_per_hour(layers) / 1e12 == pytest.approx(teraflops, rel=0.01)
    steps = WINDOWS_PER_HOUR * TOKENS_PER_WINDOW / SHAPES.batch_size
    seconds = least_bytes_per_hour(layers, SHAPES.batch_size) / steps / MEMORY_BYTES_PER_SECOND
    assert seconds * 1000 == pytest.approx(milliseconds, rel=0.01)


def test_an_hour_of_audio_costs_hardly_more_computation_than_the_least(
    encoder: dict[str, int], step: dict[str, tuple[int, int]]
) -> None:
    steps = WINDOWS_PER_HOUR * TOKENS_PER_WINDOW / SHAPES.batch_size
    for model, layers in DECODER_LAYERS.items():
        counted = WINDOWS_PER_HOUR * encoder[model] + steps * step[model][0]
        assert 1 <= counted / least_flops_per_hour(layers) < OVERHEAD_MAX, model


def test_an_hour_of_audio_reads_hardly_more_memory_than_the_least(
    step: dict[str, tuple[int, int]],
) -> None:
    steps = WINDOWS_PER_HOUR * TOKENS_PER_WINDOW / SHAPES.batch_size
    for model, layers in DECODER_LAYERS.items():
        counted = steps * step[model][1]
        assert 1 <= counted / least_bytes_per_hour(layers, SHAPES.batch_size) < OVERHEAD_MAX, model
