"""The graphs that are lowered, at the shapes of the models they are compiled for.

The large ones stand on the meta device, where a tensor has a shape and a type and no memory: what
a graph lowers to does not depend on its weights, and so the largest model fits any machine.
"""

from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from neuron_worker.whisper.checkpoint import Checkpoint, Generation, ModelConfig
from neuron_worker.whisper.layers import Whisper
from neuron_worker.whisper.runtime import Shapes
from neuron_worker.whisper.traced import ENCODER, STEP, TracedGraph, graphs_of

BATCH_SIZE = 8
"""Rows of a decoder step."""

STEP_TOKENS = (4, 1)
"""Tokens of a row in a decoder step: what is compiled, and the least that could be."""

LARGE = {
    "vocab_size": 51_866,
    "num_mel_bins": 128,
    "d_model": 1280,
    "encoder_attention_heads": 20,
    "decoder_attention_heads": 20,
    "encoder_ffn_dim": 5120,
    "decoder_ffn_dim": 5120,
}
"""What large-v3 and large-v3-turbo have in common (their config.json)."""


@dataclass(frozen=True, slots=True)
class Model:
    """The shape of a model, and the (layer, head) pairs that its generation_config.json names."""

    name: str
    encoder_layers: int
    decoder_layers: int
    alignment_heads: tuple[tuple[int, int], ...]

    def of_layers(self, count: int) -> "Model":
        """The same with no more than so many layers, and the alignment heads these have."""
        return Model(
            self.name,
            min(self.encoder_layers, count),
            min(self.decoder_layers, count),
            tuple((layer, head) for layer, head in self.alignment_heads if layer < count),
        )

    def checkpoint(self, tokenizer: Tokenizer) -> Checkpoint:
        """The model without memory.

        Any Whisper's tokenizer will do: the graphs take no more of it than where text ends.
        """
        config = ModelConfig(
            **LARGE, encoder_layers=self.encoder_layers, decoder_layers=self.decoder_layers
        )
        with torch.device("meta"):
            state = Whisper(config).state_dict()
        del state["proj_out.weight"]
        return Checkpoint(
            name=self.name,
            revision="",
            config=config,
            generation=Generation(True, (), (), alignment_heads=self.alignment_heads),
            tokenizer=tokenizer,
            state=state,
        )


TURBO = Model("large-v3-turbo", 32, 4, ((2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14)))

LARGE_V3 = Model(
    *("large-v3", 32, 32),
    ((7, 0), (10, 17), (12, 18), (13, 12), (16, 1), (17, 14), (19, 11), (21, 4), (24, 1), (25, 6)),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One graph of one model."""

    graph: TracedGraph
    model: str
    dtype: str
    layers: int

    @property
    def title(self) -> str:
        """The graph's name and the shape of its first input."""
        return f"{self.graph.name} {list(self.graph.inputs[0].shape)}"


def cases(checkpoint: Checkpoint, dtype: str) -> list[Case]:
    """Every graph of a model, where its weights are; the step for every number of STEP_TOKENS."""
    graphs: list[TracedGraph] = []
    with next(iter(checkpoint.state.values())).device:
        for count in STEP_TOKENS:
            shapes = Shapes(BATCH_SIZE, dtype, count)
            made = graphs_of(checkpoint, shapes, words=True)
            graphs += [graph for graph in made if graph.name == STEP or count == STEP_TOKENS[0]]
    return [
        Case(graph, checkpoint.name, dtype, _layers(checkpoint.config, graph)) for graph in graphs
    ]


def _layers(config: ModelConfig, graph: TracedGraph) -> int:
    layers: int = config.encoder_layers if graph.name == ENCODER else config.decoder_layers
    return layers
