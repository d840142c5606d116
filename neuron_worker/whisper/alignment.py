"""The static graph that hears a known text again: where each token attends, and how likely it is.

One causal pass over all tokens at once, which keeps nothing. B rows, T tokens, H heads, D channels.
"""

from collections.abc import Sequence
from typing import Self, cast

import torch
from torch import Tensor, nn

from neuron_worker.whisper.checkpoint import Description, ModelConfig
from neuron_worker.whisper.layers import Attention, DecoderLayer, Whisper
from neuron_worker.whisper.tokens import SpecialTokens

TOKENS_MAX = 256
"""T of a device's graph: it holds the 4 start tokens, 224 tokens of text and end-of-text."""


def static_tokens(config: ModelConfig) -> int:
    """The T to compile for a device, where shapes are fixed; what is fed is filled up to it."""
    context: int = config.max_target_positions
    return min(TOKENS_MAX, context)


def aligned_tokens(
    special: SpecialTokens, rest: Sequence[int], text: Sequence[int]
) -> tuple[int, ...]:
    """What to feed: `<|startoftranscript|> [rest] <|notimestamps|> text <|endoftext|>`.

    `rest` is language and task, or nothing; `text` has neither timestamps nor special tokens.
    Previous text is left out, as in openai/whisper, timing.py, `find_alignment`.
    """
    start = (special.start_of_transcript, *rest, special.no_timestamps)
    return (*start, *text, special.end_of_text)


def alignment_heads(checkpoint: Description) -> tuple[tuple[int, int], ...]:
    """The checkpoint's (layer, head) pairs, or all heads of the upper half of the decoder.

    The default is that of openai/whisper, model.py, `Whisper.__init__`.
    """
    layers, heads = checkpoint.config.decoder_layers, checkpoint.config.decoder_attention_heads
    upper_half = ((layer, head) for layer in range(layers // 2, layers) for head in range(heads))
    return checkpoint.generation.alignment_heads or tuple(upper_half)


class Alignment(nn.Module):
    """Tokens in, their attention to the audio and their log-probabilities out.

    What stands behind a row's last real token changes nothing before it, so any token fills a row.
    """

    def __init__(
        self, whisper: Whisper, heads: Sequence[tuple[int, int]], end_of_text: int
    ) -> None:
        super().__init__()
        self.decoder = whisper.decoder
        self.proj_out = whisper.proj_out
        self.heads = tuple(heads)
        self.end_of_text = end_of_text

    @classmethod
    def of(cls, whisper: Whisper, checkpoint: Description) -> Self:
        """The graph of a checkpoint, whose weights `whisper` holds."""
        end_of_text = SpecialTokens.of(checkpoint.tokenizer).end_of_text
        return cls(whisper, alignment_heads(checkpoint), end_of_text)

    def forward(self, tokens: Tensor, *cross_keys_values: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [B, T] int32 and the encoder's output, as `graphs.Encoder` returns it.

        Returns, in float32, the weights [B, alignment heads, T, 1500], which sum to 1 over the
        audio, heads in their given order; and log-probabilities [B, T]: at t that of token t + 1
        after those up to t, among text tokens only (timing.py, `find_alignment`). It is 0 where
        token t + 1 is no text and at the last t.
        """
        x = self.decoder.embed_tokens(tokens)
        x = x + self.decoder.embed_positions.weight[: tokens.shape[1]]
        mask = _causal_mask(tokens, x.dtype)
        found: dict[tuple[int, int], Tensor] = {}
        layers = cast(list[DecoderLayer], self.decoder.layers)
        keys_values = zip(cross_keys_values[::2], cross_keys_values[1::2], strict=True)
        for index, (layer, (keys, values)) in enumerate(zip(layers, keys_values, strict=True)):
            normed = layer.self_attn_layer_norm(x)
            x = x + layer.self_attn(normed, *layer.self_attn.keys_values(normed), mask)
            normed = layer.encoder_attn_layer_norm(x)
            wanted = [head for found_in, head in self.heads if found_in == index]
            weights = _weights(layer.encoder_attn, normed, keys, wanted)
            found |= {(index, head): of_head for head, of_head in weights.items()}
            x = layer.feed_forward(x + layer.encoder_attn(normed, keys, values, None))
        stacked = torch.stack([found[head] for head in self.heads], dim=1)
        return stacked, self._log_probabilities(x, tokens)

    def _log_probabilities(self, x: Tensor, tokens: Tensor) -> Tensor:
        logits = self.proj_out(self.decoder.layer_norm(x[:, :-1]))[..., : self.end_of_text].float()
        following = tokens[:, 1:]
        is_text = following < self.end_of_text
        index = torch.where(is_text, following, 0).long().unsqueeze(-1)
        chosen = logits.log_softmax(dim=-1).gather(-1, index).squeeze(-1)
        known = torch.where(is_text, chosen, 0.0)
        return torch.cat([known, torch.zeros_like(known[:, :1])], dim=1)


def _weights(attention: Attention, x: Tensor, keys: Tensor, heads: list[int]) -> dict[int, Tensor]:
    """How much `x` [B, T, width] attends to each of `keys` [B, H, 1500, D]: [B, T, 1500] a head."""
    if not heads:
        return {}
    queries = attention.q_proj(x).unflatten(-1, (attention.heads, -1))
    queries = queries * queries.shape[-1] ** -0.5
    keys = keys.to(queries.dtype)
    return {
        head: (queries[:, :, head] @ keys[:, head].transpose(-1, -2)).softmax(-1, torch.float32)
        for head in heads
    }


def _causal_mask(tokens: Tensor, dtype: torch.dtype) -> Tensor:
    """[T, T] for tokens [B, T]: 0 up to each one's own place, the least number beyond it."""
    device = tokens.device
    places = torch.arange(tokens.shape[1], dtype=torch.int32, device=device)
    least = torch.full((), torch.finfo(dtype).min, dtype=dtype, device=device)
    seen = places <= places.unsqueeze(1)
    return torch.where(seen, torch.zeros((), dtype=dtype, device=device), least)
