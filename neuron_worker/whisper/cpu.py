"""The CPU runtime: the same graphs, run eagerly by PyTorch."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from neuron_worker.whisper import narrow
from neuron_worker.whisper.alignment import Alignment
from neuron_worker.whisper.artifacts import ArtifactKey, publish, require
from neuron_worker.whisper.checkpoint import Checkpoint, Description
from neuron_worker.whisper.graphs import DecoderStep, Encoder
from neuron_worker.whisper.layers import Whisper
from neuron_worker.whisper.packed import ByteLinear, PackedLinear, pack
from neuron_worker.whisper.runtime import Feed, Shapes
from neuron_worker.whisper.state import DecoderState

WEIGHTS = "weights.safetensors"
"""The file in an artifact's folder that holds the weights, named as in the checkpoint."""

INT8 = "int8"
"""The type that makes all linear layers 8-bit.

Everything between them stays float32, but attention to the audio where the CPU is fast in bfloat16.
"""

CACHE_LENGTHS = (32, 64, 128, 256)
"""Lengths that the self-attention is cut to while all rows are shorter; then it is whole."""


class CpuModel:
    """A model in this process's memory.

    It runs exactly the rows it is fed, so a partly filled batch costs no more than its rows: rows
    stand at places of the state's memory, and those fed together are brought together.
    """

    hears_together = 1

    def __init__(self, description: Description, whisper: Whisper, key: ArtifactKey) -> None:
        self._dtype = heard_dtype = _compute_type(key.dtype)
        if key.dtype == INT8:
            pack(whisper, ByteLinear)
            if narrow.is_native():
                heard_dtype = torch.bfloat16
                narrow.attend_narrowly(whisper)
        elif key.dtype == "float32" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            pack(whisper, PackedLinear)
        self.config = config = description.config
        self.batch_size = key.batch_size
        self._key = key
        self._description = description
        self._whisper = whisper
        self._encoder = Encoder(whisper)
        self._state = DecoderState.empty(
            config, key.batch_size, self._dtype, heard_dtype=heard_dtype
        )
        self._alignment = Alignment.of(whisper, description)
        self._places = list(range(key.batch_size))
        self._steps: dict[tuple[int, int, int], DecoderStep] = {}

    @torch.inference_mode()
    def hear(self, rows: Sequence[int], mels: Tensor) -> None:
        """See `CompiledModel.hear`. One window at a time: its activations then fit the caches."""
        for row, mel in zip(rows, mels.to(self._dtype), strict=True):
            self._state.hear(self._places[row], self._encoder(mel.unsqueeze(0)))

    @torch.inference_mode()
    def step(self, feeds: Sequence[Feed]) -> Tensor:
        """See `CompiledModel.step`. Feeds of the same length run together."""
        lengths = [len(feed.tokens) for feed in feeds]
        if len(set(lengths)) == 1:
            return self._run(feeds)
        logits = torch.empty(len(feeds), self.config.vocab_size)
        for length in set(lengths):
            group = [index for index, other in enumerate(lengths) if other == length]
            logits[group] = self._run([feeds[index] for index in group])
        return logits

    def _run(self, feeds: Sequence[Feed]) -> Tensor:
        first = self._bring_together([feed.row for feed in feeds])
        order = [self._places[feed.row] - first for feed in feeds]
        tokens = torch.empty(len(feeds), len(feeds[0].tokens), dtype=torch.int32)
        tokens[order] = torch.tensor([feed.tokens for feed in feeds], dtype=torch.int32)
        positions = torch.empty(len(feeds), dtype=torch.int32)
        positions[order] = torch.tensor([feed.position for feed in feeds], dtype=torch.int32)
        last = torch.full((len(feeds),), tokens.shape[1] - 1, dtype=torch.int32)
        needed = max(feed.position for feed in feeds) + tokens.shape[1]
        logits: Tensor = self._step(first, len(feeds), needed)(tokens, positions, last)
        return logits if order == sorted(order) else logits[order]

    def _step(self, first: int, count: int, needed: int) -> DecoderStep:
        whole = self.config.max_target_positions
        length = next((length for length in CACHE_LENGTHS if needed <= length < whole), whole)
        step = self._steps.get((first, count, length))
        if step is None:
            rows = slice(first, first + count)
            step = DecoderStep(self._whisper, self._state.view(rows, length))
            self._steps[first, count, length] = step
        return step

    def _bring_together(self, rows: Sequence[int]) -> int:
        """Let the rows stand side by side; returns the first place."""
        places = [self._places[row] for row in rows]
        first = min(places)
        if max(places) - first < len(rows):
            return first
        beyond = [row for row, place in zip(rows, places, strict=True) if place >= len(rows)]
        within = [row for row in range(self.batch_size) if row not in rows]
        holes = [row for row in within if self._places[row] < len(rows)]
        for row, other in zip(beyond, holes, strict=True):
            self._state.swap(self._places[row], self._places[other])
            self._places[row], self._places[other] = self._places[other], self._places[row]
        return 0

    @torch.inference_mode()
    def align(self, row: int, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """See `CompiledModel.align`."""
        fed = torch.tensor([tokens], dtype=torch.int32)
        weights, log_probabilities = self._alignment(fed, *self._state.heard(self._places[row]))
        return weights[0], log_probabilities[0]

    def save(self, directory: Path) -> Path:
        """See `CompiledModel.save`."""

        def write(folder: Path) -> None:
            save_file(self._tensors(), folder / WEIGHTS)
            self._description.save(folder)
            self._key.describe(folder, self.config)

        return publish(self._key.folder(directory), write)

    def _tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = dict(self._whisper.named_parameters())
        for name, module in self._whisper.named_modules():
            if isinstance(module, PackedLinear | ByteLinear):
                tensors[f"{name}.weight"] = module.weight
        del tensors["proj_out.weight"]
        return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


class CpuRuntime:
    """Runs models on `threads` threads of this process, which is a setting of all of PyTorch."""

    def __init__(self, threads: int = 1) -> None:
        torch.set_num_threads(threads)

    def compile(self, checkpoint: Checkpoint, shapes: Shapes) -> CpuModel:
        """See `Runtime.compile`."""
        whisper = Whisper.of(checkpoint.config, checkpoint.state, _compute_type(shapes.dtype))
        return CpuModel(checkpoint, whisper, _key(checkpoint.name, shapes, checkpoint.revision))

    def describe(self, directory: Path, model: str, shapes: Shapes) -> Description:
        """See `Runtime.describe`."""
        folder, _ = _key(model, shapes).find(directory)
        require(folder, WEIGHTS)
        return Description.load(folder)

    def load(self, directory: Path, model: str, shapes: Shapes) -> tuple[Description, CpuModel]:
        """See `Runtime.load`."""
        description = self.describe(directory, model, shapes)
        folder, _ = _key(model, shapes).find(directory)
        weights = load_file(folder / WEIGHTS)
        whisper = Whisper.of(description.config, weights, _compute_type(shapes.dtype))
        key = _key(model, shapes, description.revision)
        return description, CpuModel(description, whisper, key)


def _key(model: str, shapes: Shapes, revision: str | None = None) -> ArtifactKey:
    return ArtifactKey(
        runtime="cpu",
        model=model,
        revision=revision,
        batch_size=shapes.batch_size,
        dtype=shapes.dtype,
        libraries=f"torch {torch.__version__}",
    )


def _compute_type(dtype: str) -> torch.dtype:
    found: torch.dtype = torch.float32 if dtype == INT8 else getattr(torch, dtype)
    return found
