"""The static graphs: encoder with cross-attention K/V, and the decoder step over a K/V state.

Shapes never depend on data, integers are int32, and the state is written in place by index, so
that the same modules run eagerly, trace and export. B rows, T tokens, H heads, D channels.
"""

from typing import cast

import torch
from torch import Tensor, nn

from neuron_worker.whisper.layers import Attention, DecoderLayer, TextDecoder, Whisper
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
    positions up to its own. A row with fewer than T tokens is filled up with any; what they leave
    behind its last token is not seen, and is overwritten when the row gets there.
    """

    def __init__(self, whisper: Whisper, state: DecoderState) -> None:
        super().__init__()
        self.decoder = whisper.decoder
        self.proj_out = whisper.proj_out
        self.state = state

    def forward(self, tokens: Tensor, positions: Tensor, last: Tensor) -> Tensor:
        """Tokens [B, T], first token's positions [B], index of the last real token [B], all int32.

        Returns logits [B, vocabulary] float32. Rows may be at different positions; those beyond
        the context are for filling up, and go to the state's spare places.
        """
        return logits_after(self.decoder, self.proj_out, self.state, tokens, positions, last)


def logits_after(
    decoder: TextDecoder,
    proj_out: nn.Linear,
    state: DecoderState,
    tokens: Tensor,
    positions: Tensor,
    last: Tensor,
) -> Tensor:
    """`DecoderStep.forward` as a function of its weights and its state."""
    offsets = torch.arange(tokens.shape[1], dtype=torch.int32, device=tokens.device)
    places = positions.unsqueeze(1) + offsets
    known = places.clamp(max=decoder.embed_positions.num_embeddings - 1)
    x = decoder.embed_tokens(tokens) + decoder.embed_positions(known)
    mask = _mask(places, state.cache_length, x.dtype)
    for layer, of_layer in zip(decoder.layers, state, strict=True):
        x = layer(x, of_layer, places, mask)
    index = last.long()[:, None, None].expand(-1, 1, x.shape[-1])
    logits: Tensor = proj_out(decoder.layer_norm(x.gather(1, index).squeeze(1)))
    return logits.float()


def _mask(places: Tensor, cache_length: int, dtype: torch.dtype) -> Tensor:
    """[B, 1, T, cache length]: 0 up to each token's own place, the least number beyond it."""
    device = places.device
    cached = torch.arange(cache_length, dtype=torch.int32, device=device)
    seen = cached <= places.unsqueeze(-1)
    least = torch.full((), torch.finfo(dtype).min, dtype=dtype, device=device)
    return torch.where(seen, torch.zeros((), dtype=dtype, device=device), least).unsqueeze(1)
