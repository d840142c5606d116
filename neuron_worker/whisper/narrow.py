"""Attention to the audio in bfloat16: half the bytes to read, and twice as many multiplied at once.

It is for CPUs that multiply bfloat16 natively; others would only convert.
"""

from itertools import product

import torch
from torch import Tensor

from neuron_worker.whisper.layers import DecoderLayer, EncoderLayer, Whisper

QUERIES_TOGETHER = 250
"""The scores of so many queries of one head over a window, 750 KB, fit the caches."""


def is_native() -> bool:
    """Whether this CPU multiplies bfloat16 without widening it first."""
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())  # noqa: SLF001


def attention(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """`layers.attention` in bfloat16; what it returns has the type of `query`.

    PyTorch's kernels add up in float32, products and softmax alike, and round what they return.
    ValueError for a mask: nothing of the audio is hidden.
    """
    if mask is not None:
        raise ValueError("attention to the audio takes no mask")
    found = torch.empty_like(query, memory_format=torch.contiguous_format)
    query, keys, values = (_narrow(x) for x in (query * query.shape[-1] ** -0.5, keys, values))
    if query.shape[2] <= QUERIES_TOGETHER:
        return found.copy_(_find(query, keys, values))
    for row, head in product(range(query.shape[0]), range(query.shape[1])):
        for first in range(0, query.shape[2], QUERIES_TOGETHER):
            piece = row, head, slice(first, first + QUERIES_TOGETHER)
            found[piece] = _find(query[piece], keys[row, head], values[row, head])
    return found


def attend_narrowly(whisper: Whisper) -> None:
    """Let the encoder attend to itself, and the decoder to the encoder, in bfloat16."""
    for module in whisper.modules():
        if isinstance(module, EncoderLayer):
            module.self_attn.attention = attention
        elif isinstance(module, DecoderLayer):
            module.encoder_attn.attention = attention


def _find(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    return (query @ keys.transpose(-1, -2)).softmax(dim=-1) @ values


def _narrow(x: Tensor) -> Tensor:
    return x.to(torch.bfloat16, memory_format=torch.contiguous_format)
