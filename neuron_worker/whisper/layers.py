"""Whisper's layers, named and numbered as in transformers, so that its state dicts fit.

Softmax and layer norm run in float32 whatever the weights' type; masks are finite; no control
flow depends on values. Shapes: B rows, T tokens or frames, H heads, D channels of a head.
"""

from collections.abc import Mapping
from typing import Self

import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own abbreviation
from torch import Tensor, nn

from neuron_worker.whisper.checkpoint import ModelConfig
from neuron_worker.whisper.state import LayerState


def attention(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention [B, H, T, D]; `mask` is added to the scores.

    In float32 it is PyTorch's fused kernel. A narrower type is widened for the softmax, which a
    fused kernel promises on no device but its own.
    """
    if query.dtype == torch.float32:
        fused: Tensor = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        return fused
    scores = (query * query.shape[-1] ** -0.5) @ keys.transpose(-1, -2)
    if mask is not None:
        scores = scores + mask
    weights: Tensor = scores.softmax(dim=-1, dtype=torch.float32).to(values.dtype)
    return weights @ values


class Linear(nn.Linear):
    """A linear layer that is born empty: a checkpoint's weights take their place."""

    def reset_parameters(self) -> None:
        """Leave the memory untouched."""


class Convolution(nn.Conv1d):
    """A convolution over time that is born empty."""

    def reset_parameters(self) -> None:
        """Leave the memory untouched."""


class Embedding(nn.Embedding):
    """An embedding that is born empty."""

    def reset_parameters(self) -> None:
        """Leave the memory untouched."""


class LayerNorm(nn.LayerNorm):
    """Layer norm in float32, returned in the type of its input."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last dimension of `x`."""
        wide = F.layer_norm(
            x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps
        )
        return wide.to(x.dtype)


class Attention(nn.Module):
    """The four projections around one attention, which a runtime may replace by another."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.attention = attention
        self.q_proj = Linear(width, width)
        self.k_proj = Linear(width, width, bias=False)
        self.v_proj = Linear(width, width)
        self.out_proj = Linear(width, width)

    def keys_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values [B, H, T, D] of `x` [B, T, width]."""
        return self._split(self.k_proj(x)), self._split(self.v_proj(x))

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """What `x` [B, T, width] finds in keys and values, [B, T, width]."""
        found = self.attention(self._split(self.q_proj(x)), keys, values, mask)
        projected: Tensor = self.out_proj(found.transpose(1, 2).flatten(2))
        return projected

    def _split(self, x: Tensor) -> Tensor:
        return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)


class FeedForward(nn.Module):
    """The part that encoder and decoder layers end with."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.fc1 = Linear(width, inner)
        self.fc2 = Linear(inner, width)
        self.final_layer_norm = LayerNorm(width)

    def feed_forward(self, x: Tensor) -> Tensor:
        """`x` plus what the two projections make of it."""
        added: Tensor = self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))
        return x + added


class EncoderLayer(FeedForward):
    """Self-attention over the audio, then the feed-forward part."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.d_model, config.encoder_ffn_dim)
        self.self_attn = Attention(config.d_model, config.encoder_attention_heads)
        self.self_attn_layer_norm = LayerNorm(config.d_model)

    def forward(self, x: Tensor) -> Tensor:
        """[B, T, width] to the same."""
        normed = self.self_attn_layer_norm(x)
        keys, values = self.self_attn.keys_values(normed)
        return self.feed_forward(x + self.self_attn(normed, keys, values, None))


class DecoderLayer(FeedForward):
    """Self-attention over the tokens, cross-attention to the audio, the feed-forward part."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config.d_model, config.decoder_ffn_dim)
        self.self_attn = Attention(config.d_model, config.decoder_attention_heads)
        self.self_attn_layer_norm = LayerNorm(config.d_model)
        self.encoder_attn = Attention(config.d_model, config.decoder_attention_heads)
        self.encoder_attn_layer_norm = LayerNorm(config.d_model)

    def forward(self, x: Tensor, state: LayerState, places: Tensor, mask: Tensor) -> Tensor:
        """[B, T, width] at `places` [B, T] to the same; `state` is read and written."""
        normed = self.self_attn_layer_norm(x)
        state.remember(places, *self.self_attn.keys_values(normed))
        x = x + self.self_attn(normed, state.self_keys, state.self_values, mask)
        normed = self.encoder_attn_layer_norm(x)
        x = x + self.encoder_attn(normed, state.cross_keys, state.cross_values, None)
        return self.feed_forward(x)


class AudioEncoder(nn.Module):
    """Two convolutions over the spectrogram and a stack of layers."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.conv1 = Convolution(config.num_mel_bins, config.d_model, kernel_size=3, padding=1)
        self.conv2 = Convolution(config.d_model, config.d_model, kernel_size=3, stride=2, padding=1)
        self.embed_positions = Embedding(config.max_source_positions, config.d_model)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))
        self.layer_norm = LayerNorm(config.d_model)

    def forward(self, mel: Tensor) -> Tensor:
        """[B, mel bins, 3000] to [B, 1500, width]."""
        x = F.gelu(self.conv2(F.gelu(self.conv1(mel))))
        x = x.transpose(1, 2).contiguous() + self.embed_positions.weight
        for layer in self.layers:
            x = layer(x)
        encoded: Tensor = self.layer_norm(x)
        return encoded


class TextDecoder(nn.Module):
    """The decoder's weights; `graphs.DecoderStep` says how they are run."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.embed_tokens = Embedding(config.vocab_size, config.d_model)
        self.embed_positions = Embedding(config.max_target_positions, config.d_model)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))
        self.layer_norm = LayerNorm(config.d_model)


class Whisper(nn.Module):
    """All weights of a model; the graphs share them."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.encoder = AudioEncoder(config)
        self.decoder = TextDecoder(config)
        self.proj_out = Linear(config.d_model, config.vocab_size, bias=False)

    @classmethod
    def of(
        cls, config: ModelConfig, state: Mapping[str, Tensor], dtype: torch.dtype = torch.float32
    ) -> Self:
        """The model around a checkpoint's tensors, which it shares where the type is theirs."""
        whisper = cls(config)
        named = {name.removeprefix("model."): tensor.to(dtype) for name, tensor in state.items()}
        named["proj_out.weight"] = named["decoder.embed_tokens.weight"]
        whisper.load_state_dict(named, assign=True)
        return whisper.requires_grad_(False).eval()
