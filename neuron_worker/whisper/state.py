"""What the decoder remembers between steps: the K/V of the tokens so far, and of the audio."""

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from neuron_worker.whisper.checkpoint import ModelConfig


class LayerState(nn.Module):
    """What one decoder layer remembers.

    Keys and values [B, H, cache length, D] of the tokens, [B, H, 1500, D] of the audio.
    """

    self_keys: Tensor
    self_values: Tensor
    cross_keys: Tensor
    cross_values: Tensor

    def __init__(self, self_kv: tuple[Tensor, Tensor], cross_kv: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.register_buffer("self_keys", self_kv[0], persistent=False)
        self.register_buffer("self_values", self_kv[1], persistent=False)
        self.register_buffer("cross_keys", cross_kv[0], persistent=False)
        self.register_buffer("cross_values", cross_kv[1], persistent=False)

    def remember(self, places: Tensor, keys: Tensor, values: Tensor) -> None:
        """Write tokens' keys and values [B, H, T, D] to their places [B, T] int32."""
        index = places.long()[:, None, :, None].expand_as(keys)
        self.self_keys.scatter_(2, index, keys)
        self.self_values.scatter_(2, index, values)


class DecoderState(nn.Module):
    """The states of all decoder layers, preallocated."""

    def __init__(self, layers: Sequence[LayerState]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    @classmethod
    def empty(
        cls,
        config: ModelConfig,
        batch_size: int,
        dtype: torch.dtype = torch.float32,
        spare: int = 0,
        heard_dtype: torch.dtype | None = None,
    ) -> "DecoderState":
        """A state for `batch_size` rows, as long as the model's context and `spare` places more.

        The spare places take what is fed only to fill up a fixed shape. All is zeroed: what a mask
        hides must still be finite. What was heard may be kept in a type of its own.
        """
        heads = config.decoder_attention_heads
        size = config.d_model // heads
        self_shape = (batch_size, heads, config.max_target_positions + spare, size)
        cross_shape = (batch_size, heads, config.max_source_positions, size)
        heard_dtype = heard_dtype or dtype
        return cls(
            [
                LayerState(
                    (torch.zeros(self_shape, dtype=dtype), torch.zeros(self_shape, dtype=dtype)),
                    (
                        torch.zeros(cross_shape, dtype=heard_dtype),
                        torch.zeros(cross_shape, dtype=heard_dtype),
                    ),
                )
                for _ in range(config.decoder_layers)
            ]
        )

    @property
    def cache_length(self) -> int:
        """How many tokens of a row it can hold."""
        return next(iter(self)).self_keys.shape[2]

    def view(self, rows: slice, cache_length: int) -> "DecoderState":
        """Some rows and the first positions of this state, sharing its memory."""
        return DecoderState(
            [
                LayerState(
                    (
                        layer.self_keys[rows, :, :cache_length],
                        layer.self_values[rows, :, :cache_length],
                    ),
                    (layer.cross_keys[rows], layer.cross_values[rows]),
                )
                for layer in self
            ]
        )

    def hear(self, row: int, cross_keys_values: Sequence[Tensor]) -> None:
        """Put what the encoder made of one window into a row."""
        for layer, keys, values in zip(
            self, cross_keys_values[::2], cross_keys_values[1::2], strict=True
        ):
            layer.cross_keys[row] = keys[0]
            layer.cross_values[row] = values[0]

    def heard(self, row: int) -> list[Tensor]:
        """What `hear` put into a row, in the same order, [1, H, 1500, D] each."""
        rows = slice(row, row + 1)
        return [kv[rows] for layer in self for kv in (layer.cross_keys, layer.cross_values)]

    def swap(self, row: int, other: int) -> None:
        """Exchange all that two rows remember."""
        for layer in self:
            for buffer in layer.buffers():
                kept = buffer[row].clone()
                buffer[row] = buffer[other]
                buffer[other] = kept

    def __iter__(self) -> Iterator[LayerState]:
        return iter(cast(list[LayerState], self.layers))
