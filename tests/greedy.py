"""Decode greedily while rows come and go; as a program, with a compiled model in a new process."""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from neuron_worker.whisper.neuron import NeuronRuntime
from neuron_worker.whisper.runtime import CompiledModel, Feed, Shapes

SHAPES = Shapes(batch_size=3, dtype="float32", step_tokens=4)

START_OF_PREVIOUS, START_OF_TRANSCRIPT = 50360, 50257
"""Of the English-only models."""

HARBOUR = (1514, 5404, 278, 422, 262, 25451, 2607, 13)

ALONE, TOGETHER = 6, 12
"""How many tokens rows 0 and 2 choose before row 1 hears a window, and all of them after that."""


def decoded(model: CompiledModel, mels: Tensor) -> list[list[int]]:
    """What each of three rows chooses: one begins late, one has a prompt of three steps."""
    rows: dict[int, list[int]] = {}
    positions: dict[int, int] = {}

    def step(fed: dict[int, tuple[int, ...]]) -> None:
        feeds = [Feed(row, positions[row], tokens) for row, tokens in fed.items()]
        for feed, logits in zip(feeds, model.step(feeds), strict=True):
            positions[feed.row] += len(feed.tokens)
            rows[feed.row].append(int(logits.argmax()))

    def begin(prompts: dict[int, tuple[int, ...]]) -> None:
        model.hear(list(prompts), mels[list(prompts)])
        for row in prompts:
            rows[row], positions[row] = [], 0
        waiting = {row: (chosen[-1],) for row, chosen in rows.items() if chosen}
        step(waiting | prompts)

    begin({0: (START_OF_TRANSCRIPT,), 2: (START_OF_PREVIOUS, *HARBOUR, START_OF_TRANSCRIPT)})
    for _ in range(ALONE):
        step({row: (chosen[-1],) for row, chosen in rows.items()})
    begin({1: (START_OF_TRANSCRIPT,)})
    for _ in range(TOGETHER):
        step({row: (chosen[-1],) for row, chosen in rows.items()})
    return [rows[row] for row in sorted(rows)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    _, loaded = NeuronRuntime().load(Path(sys.argv[1]), "tiny.en", SHAPES)
    print(json.dumps(decoded(loaded, load_file(sys.argv[2])["mels"])))  # noqa: T201
