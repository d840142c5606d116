"""The graphs in the form that torch-neuronx traces: tensors in, tensors out, fixed shapes.

What the device keeps between calls are parameters, each returned and aliased to what it becomes.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from neuron_worker.whisper.alignment import Alignment, static_tokens
from neuron_worker.whisper.checkpoint import Checkpoint, ModelConfig
from neuron_worker.whisper.graphs import Encoder, logits_after
from neuron_worker.whisper.layers import Whisper
from neuron_worker.whisper.runtime import Shapes
from neuron_worker.whisper.state import DecoderState, LayerState

ENCODER, STEP, ALIGNMENT = "encoder", "step", "alignment"
"""The names of the graphs."""

STATES_PER_LAYER = 4
"""Keys and values of the tokens, keys and values of the audio."""

CONVOLUTION_STRIDE = 2
"""The encoder makes one of two frames of the spectrogram."""


class StatefulStep(nn.Module):
    """A decoder step that owns the state of its batch.

    `state` is, layer by layer: self-attention keys, values [B, H, 448 + T, D], cross-attention
    keys, values [B, H, 1500, D]. It is never written to: torch-neuronx finds a parameter by the
    very tensor it was when tracing began. As it numbers parameters in the module's order whatever
    the aliases' order, both are the same.
    """

    def __init__(self, whisper: Whisper, config: ModelConfig, shapes: Shapes) -> None:
        super().__init__()
        empty = DecoderState.empty(
            config, shapes.batch_size, getattr(torch, shapes.dtype), spare=shapes.step_tokens
        )
        self.state = nn.ParameterList(
            nn.Parameter(tensor, requires_grad=False)
            for layer in empty
            for tensor in (
                layer.self_keys,
                layer.self_values,
                layer.cross_keys,
                layer.cross_values,
            )
        )
        self.decoder = whisper.decoder
        self.proj_out = whisper.proj_out

    @property
    def aliases(self) -> dict[Tensor, int]:
        """Which output is each parameter's next value; the first output is the logits."""
        return {parameter: index for index, parameter in enumerate(self.state, start=1)}

    def forward(self, tokens: Tensor, positions: Tensor, last: Tensor) -> tuple[Tensor, ...]:
        """See `DecoderStep.forward`. Returns the logits, then the state in its order."""
        tensors = [
            parameter.clone() if index % STATES_PER_LAYER < 2 else parameter
            for index, parameter in enumerate(self.state)
        ]
        layers = (
            tensors[first : first + STATES_PER_LAYER]
            for first in range(0, len(tensors), STATES_PER_LAYER)
        )
        state = DecoderState([LayerState((kv[0], kv[1]), (kv[2], kv[3])) for kv in layers])
        logits = logits_after(self.decoder, self.proj_out, state, tokens, positions, last)
        return (logits, *tensors)


@dataclass(frozen=True, eq=False, slots=True)
class TracedGraph:
    """A graph to trace."""

    name: str
    module: nn.Module
    inputs: tuple[Tensor, ...]
    aliases: dict[Tensor, int] = field(default_factory=dict)


def frames_of(config: ModelConfig) -> int:
    """How many frames of the spectrogram a window has."""
    encoded: int = config.max_source_positions
    return CONVOLUTION_STRIDE * encoded


def graphs_of(checkpoint: Checkpoint, shapes: Shapes, *, words: bool) -> Iterator[TracedGraph]:
    """The graphs of a checkpoint, one after another; they share its weights.

    The encoder hears one window: that alone keeps the core busy, and rows are replaced singly.
    """
    dtype = getattr(torch, shapes.dtype)
    config = checkpoint.config
    whisper = Whisper.of(config, checkpoint.state, dtype)
    mel = torch.zeros(1, config.num_mel_bins, frames_of(config), dtype=dtype)
    yield TracedGraph(ENCODER, Encoder(whisper), (mel,))

    step = StatefulStep(whisper, config, shapes)
    per_row = torch.zeros(shapes.batch_size, dtype=torch.int32)
    tokens = torch.zeros(shapes.batch_size, shapes.step_tokens, dtype=torch.int32)
    yield TracedGraph(STEP, step, (tokens, per_row, per_row.clone()), step.aliases)

    if words:
        one_row = DecoderState.empty(config, 1, dtype).heard(0)
        tokens = torch.zeros(1, static_tokens(config), dtype=torch.int32)
        yield TracedGraph(ALIGNMENT, Alignment.of(whisper, checkpoint), (tokens, *one_row))
