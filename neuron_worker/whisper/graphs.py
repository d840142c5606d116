"""The static graphs: encoder with cross-attention K/V, and the decoder step over a K/V state.

Shapes never depend on data, integers are int32, and the state is written in place by index, so
that the same modules run eagerly, trace and export. B rows, T tokens, H heads, D channels.
"""

from typing import cast

import torch
from torch import Tensor, nn

from neuron_worker.whisper.layers import Attention, DecoderLayer, Whisper
from neuron_worker.whisper.state import DecoderState


class Encoder(nn.Module):
    """Spectrogram in, cross-attention K/V of every decoder layer out."""

    def __init__(self, whisper: Whisper) -> None:
        super().__init__()
        self.encoder = whisper.encoder
        self.cross_attentions = nn.ModuleList(
            cast(DecoderLayer, layer).encoder_attn for layer in whisper.decoder.layers
        )

    def forward(self, mel: Tensor) -> tuple[Tensor, ...]:
        """[B, mel bins, 3000] to keys, values, keys, values … [B, H, 1500, D], layer by layer."""
        encoded = self.encoder(mel)
        attentions = cast(list[Attention], self.cross_attentions)
        return tuple(kv for attention in attentions for kv in attention.keys_values(encoded))


class DecoderStep(nn.Module):
    """T tokens of every row in, the logits after each row's last one out.

    `state` is read and written: a token's keys and values go to its position, and it sees the
    positions up to its own.
    """

    def __init__(self, whisper: Whisper, state: DecoderState) -> None:
        super().__init__()
        self.decoder = whisper.decoder
        self.proj_out = whisper.proj_out
        self.state = state

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Tokens [B, T] int32, first token's positions [B] int32, to logits [B, vocabulary].

        Rows may be at different positions. Logits are float32.
        """
        offsets = torch.arange(tokens.shape[1], dtype=torch.int32)
        places = positions.unsqueeze(1) + offsets
        x = self.decoder.embed_tokens(tokens) + self.decoder.embed_positions(places)
        mask = self._mask(places, x.dtype)
        for layer, state in zip(self.decoder.layers, self.state, strict=True):
            x = layer(x, state, places, mask)
        logits: Tensor = self.proj_out(self.decoder.layer_norm(x[:, -1]))
        return logits.float()

    def _mask(self, places: Tensor, dtype: torch.dtype) -> Tensor:
        """[B, 1, T, cache length]: 0 up to each token's own place, the least number beyond it."""
        cached = torch.arange(self.state.cache_length, dtype=torch.int32)
        seen = cached <= places.unsqueeze(-1)
        least = torch.full((), torch.finfo(dtype).min, dtype=dtype)
        return torch.where(seen, torch.zeros((), dtype=dtype), least).unsqueeze(1)
