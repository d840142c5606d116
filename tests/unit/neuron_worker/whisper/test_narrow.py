"""Attention in bfloat16 against attention in float32."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from neuron_worker.whisper import narrow
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.cpu import CpuModel, CpuRuntime
from neuron_worker.whisper.layers import Attention, Whisper, attention
from neuron_worker.whisper.runtime import Feed, Shapes

ERROR_MAX = 0.01
"""The error's share of what is found, both as root mean squares: bfloat16 keeps 8 bits."""

MODEL_ERROR_MAX = 0.1
"""The same of a model with random weights, which attends sharply, after all its layers."""


def error(found: Tensor, expected: Tensor) -> float:
    return ((found - expected).pow(2).mean() / expected.pow(2).mean()).sqrt().item()


def query_keys_values(queries: int, rows: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    """Shaped as `Attention` splits them."""
    dice = torch.Generator().manual_seed(queries)
    shapes = ((rows, queries, 3, 64), (rows, 1500, 3, 64), (rows, 1500, 3, 64))
    query, keys, values = (torch.randn(shape, generator=dice).transpose(1, 2) for shape in shapes)
    return query, keys, values


@pytest.mark.parametrize("queries", [1, 7, 250, 251, 1500])
def test_what_is_found_is_nearly_the_same(queries: int) -> None:
    query, keys, values = query_keys_values(queries)
    expected = attention(query, keys, values, None)
    for kept in (torch.float32, torch.bfloat16):
        found = narrow.attention(query, keys.to(kept), values.to(kept), None)
        assert found.dtype == torch.float32
        assert error(found, expected) < ERROR_MAX


def test_nothing_of_the_audio_is_masked() -> None:
    with pytest.raises(ValueError, match="no mask"):
        narrow.attention(*query_keys_values(1), torch.zeros(1))


def test_this_cpu_says_what_it_multiplies() -> None:
    flags = Path("/proc/cpuinfo").read_text().split()
    assert narrow.is_native() == any(flag in flags for flag in ("avx512_bf16", "amx_tile"))


def test_the_decoder_attends_to_its_own_tokens_in_full(small: Checkpoint) -> None:
    whisper = Whisper.of(small.config, small.state)
    narrow.attend_narrowly(whisper)
    narrowed = {
        name
        for name, module in whisper.named_modules()
        if isinstance(module, Attention) and module.attention is narrow.attention
    }
    encoder, decoder = small.config.encoder_layers, small.config.decoder_layers
    assert narrowed == {
        *(f"encoder.layers.{layer}.self_attn" for layer in range(encoder)),
        *(f"decoder.layers.{layer}.encoder_attn" for layer in range(decoder)),
    }


def an_8_bit_model(small: Checkpoint, monkeypatch: pytest.MonkeyPatch, native: bool) -> CpuModel:
    monkeypatch.setattr(narrow, "is_native", lambda: native)
    model = CpuRuntime().compile(small, Shapes(2, dtype="int8"))
    model.hear([0, 1], torch.randn(2, 80, 100, generator=torch.Generator().manual_seed(5)))
    return model


def test_an_8_bit_model_is_nearly_the_same_on_either_kind_of_cpu(
    small: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    narrowed, wide = (an_8_bit_model(small, monkeypatch, native) for native in (True, False))
    for feeds in ([Feed(0, 0, (1, 5, 9)), Feed(1, 0, (1,))], [Feed(0, 3, (7,)), Feed(1, 1, (8,))]):
        found, expected = narrowed.step(feeds), wide.step(feeds)
        assert 0 < error(found, expected) < MODEL_ERROR_MAX
    tokens = [1, 3, 20, 21, 22, 0]
    for found, expected in zip(narrowed.align(0, tokens), wide.align(0, tokens), strict=True):
        assert 0 < error(found, expected) < MODEL_ERROR_MAX
