"""Packed layers against PyTorch's own, and texts of 8-bit weights against those of 32-bit ones."""

import os
import subprocess
import sys
from collections.abc import Callable

import jiwer
import pytest
import torch
from torch import Tensor, nn
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from neuron_worker.speech import Window
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.cpu import CpuModel, CpuRuntime
from neuron_worker.whisper.decoding import Rules, Sampling
from neuron_worker.whisper.layers import Whisper
from neuron_worker.whisper.mel import log_mel
from neuron_worker.whisper.packed import ByteLinear, PackedLinear, pack, weight_max
from neuron_worker.whisper.rows import Row, Rows
from neuron_worker.whisper.runtime import Shapes
from neuron_worker.whisper.tokens import SpecialTokens

BYTE_ERROR_MAX = 0.02
"""Of an 8-bit layer: the error's share of the output, both as root mean squares.

Weights and inputs rounded to 127 steps on either side of zero are off by 0.3 % of a normal
distribution's standard deviation each; outliers widen the ranges.
"""

BYTE_WORD_ERROR_RATE_MAX = 0.02
"""How much the 8-bit model's word error rate may exceed the 32-bit one's on the recordings."""


def a_layer(bias: bool = True) -> nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Linear(64, 200, bias=bias).requires_grad_(False)


def inputs(rows: int) -> Tensor:
    return torch.randn(1, rows, 64, generator=torch.Generator().manual_seed(rows))


@pytest.mark.parametrize("rows", [1, 2, 5, 1500])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_linear_layer_is_a_linear_layer(rows: int, bias: bool) -> None:
    linear = a_layer(bias)
    packed = PackedLinear(linear)
    torch.testing.assert_close(packed(inputs(rows)), linear(inputs(rows)), atol=1e-5, rtol=1e-5)
    assert torch.equal(packed.weight, linear.weight)


def error(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).pow(2).mean() / expected.pow(2).mean()).sqrt().item()


@pytest.mark.parametrize("rows", [1, 2, 5, 1500])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (100.0, 0.0), (1.0, 5.0), (1e-3, -1e-2)])
def test_an_8_bit_linear_layer_is_nearly_a_linear_layer(
    rows: int, bias: bool, scale: float, shift: float
) -> None:
    linear = a_layer(bias)
    packed = ByteLinear(linear)
    for x in (scale * inputs(rows) + shift, scale * inputs(rows)[0] + shift):
        found = packed(x)
        assert found.shape == (*x.shape[:-1], 200)
        assert found.dtype == torch.float32
        assert error(found, linear(x)) < BYTE_ERROR_MAX


@pytest.mark.parametrize("value", [0.0, 1.0, -3.0])
def test_an_8_bit_linear_layer_takes_constant_inputs(value: float) -> None:
    packed = ByteLinear(linear := a_layer())
    for rows in (1, 2):
        x = torch.full((rows, 64), value)
        assert error(packed(x), linear(x)) < BYTE_ERROR_MAX


@pytest.mark.parametrize("rows", [1, 2])
def test_zero_keeps_its_value_beside_a_large_input(rows: int) -> None:
    """Of what GELU lets through most is near zero, and a hundred may stand beside it."""
    linear = a_layer()
    linear.weight.abs_()
    x = torch.zeros(rows, 64)
    x[:, 0], x[:, 1] = 117.0, -0.17
    assert error(ByteLinear(linear)(x), linear(x)) < BYTE_ERROR_MAX


def test_weights_of_zero_stay_zero() -> None:
    linear = a_layer(bias=False)
    linear.weight[7] = 0.0
    packed = ByteLinear(linear)
    assert packed.weight[7].eq(0).all()
    assert packed(inputs(3))[..., 7].eq(0).all()
    assert packed(inputs(3)[0])[..., 7].eq(0).all()


def test_each_output_has_a_scale_of_its_own() -> None:
    linear = a_layer(bias=False)
    linear.weight[7] *= 1000
    linear.weight[8] /= 1000
    found, expected = ByteLinear(linear)(inputs(20)), linear(inputs(20))
    for output in (7, 8):
        assert error(found[..., output], expected[..., output]) < BYTE_ERROR_MAX


@pytest.mark.parametrize("tokens", [1, 3])
def test_what_a_row_gives_does_not_depend_on_its_mates(tokens: int) -> None:
    """A loud neighbour must not widen the range that the others' inputs are rounded in."""
    packed = ByteLinear(a_layer())
    x = inputs(4 * tokens).view(4, tokens, 64)
    alone = torch.cat([packed(row.unsqueeze(0)) for row in x])
    torch.testing.assert_close(packed(x), alone, atol=1e-5, rtol=0)
    loud = x.clone()
    loud[3] *= 50
    torch.testing.assert_close(packed(loud)[:3], alone[:3], atol=1e-5, rtol=0)
    one_token = packed(x[:, 0]), packed(x[:1, 0])
    torch.testing.assert_close(one_token[0][:1], one_token[1], atol=1e-5, rtol=0)


OTHER_CPU = """
import torch
from neuron_worker.whisper.packed import ByteLinear, weight_max
torch.manual_seed(3)
linear = torch.nn.Linear(64, 200).requires_grad_(False)
for rows in (1, 2, 1500):
    x = torch.randn(rows, 64)
    found, expected = ByteLinear(linear)(x), linear(x)
    print(weight_max(), ((found - expected).pow(2).mean() / expected.pow(2).mean()).sqrt().item())
"""


@pytest.mark.parametrize("instructions", ["SSE41", "AVX2", "AVX512_CORE"])
def test_a_cpu_that_adds_in_16_bits_is_given_smaller_weights(instructions: str) -> None:
    found = subprocess.run(
        [sys.executable, "-c", OTHER_CPU],
        env=os.environ | {"ONEDNN_MAX_CPU_ISA": instructions},
        check=True,
        capture_output=True,
        text=True,
    )
    for line in found.stdout.splitlines():
        largest, off = line.split()
        assert largest == "64"
        assert float(off) < BYTE_ERROR_MAX


def test_8_bit_weights_are_within_half_a_step() -> None:
    linear = a_layer()
    step = linear.weight.abs().amax(dim=1, keepdim=True) / weight_max()
    off = (ByteLinear(linear).weight - linear.weight).abs()
    assert (off <= step / 2 + 1e-7).all()


def test_all_linear_layers_of_a_model_are_packed(small: Checkpoint) -> None:
    whisper = Whisper.of(small.config, small.state)
    count = sum(isinstance(module, nn.Linear) for module in whisper.modules())
    pack(whisper, ByteLinear)
    assert not [module for module in whisper.modules() if isinstance(module, nn.Linear)]
    assert sum(isinstance(module, ByteLinear) for module in whisper.modules()) == count > 40


@torch.inference_mode()
def texts(model: CpuModel, checkpoint: Checkpoint, windows: list[Window]) -> list[str]:
    """What each of the windows is decoded to, all beside each other."""
    special = SpecialTokens.of(checkpoint.tokenizer)
    rules = Rules(special, checkpoint.generation, checkpoint.config.vocab_size)
    model.hear(range(len(windows)), torch.stack([log_mel(w.samples, 80) for w in windows]))
    start = (special.start_of_transcript,)
    rows = Rows(model, rules, checkpoint.tokenizer)
    all_rows = [Row(index, start, (), Sampling(0)) for index in range(len(windows))]
    while busy := [row for row in all_rows if not row.ended]:
        rows.step(busy)
    return [rows.decoded(row).text for row in all_rows]


def test_8_bit_weights_hear_nearly_as_well(
    tiny_en: Checkpoint,
    recordings: dict[str, list[Window]],
    recording_texts: dict[str, str],
    compiled: Callable[[Checkpoint, int], CpuModel],
) -> None:
    windows = [window for of_one in recordings.values() for window in of_one]
    normal = EnglishTextNormalizer({"harbour": "harbor"})
    expected = normal(" ".join(recording_texts[name] for name in recordings))
    wide = compiled(tiny_en, len(windows))
    narrow = CpuRuntime().compile(tiny_en, Shapes(len(windows), dtype="int8"))
    rates = [
        jiwer.wer(expected, normal(" ".join(texts(model, tiny_en, windows))))
        for model in (wide, narrow)
    ]
    assert rates[0] < 0.05
    assert rates[1] < rates[0] + BYTE_WORD_ERROR_RATE_MAX, rates
