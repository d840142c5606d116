"""The CPU runtime: the same graphs, run eagerly by PyTorch."""

import os
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.models.whisper.configuration_whisper import WhisperConfig

from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.graphs import DecoderStep, Encoder
from neuron_worker.whisper.layers import Whisper
from neuron_worker.whisper.runtime import ArtifactKey, Shapes
from neuron_worker.whisper.state import DecoderState

WEIGHTS = "weights.safetensors"
"""The file in an artifact's folder that holds the weights, named as in the checkpoint."""

CACHE_LENGTHS = (32, 64, 128, 256)
"""Lengths that the self-attention is cut to while all rows are shorter; then it is whole."""


class PackedLinear(nn.Module):
    """A linear layer whose weight stands in the blocked layout of oneDNN's kernels.

    Packing once makes a step of few rows about three times as fast as PyTorch's usual linear,
    most of all for the vocabulary.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())  # noqa: SLF001
        self.bias = linear.bias

    @property
    def weight(self) -> Tensor:
        """The weight as it was, [out, in]."""
        dense: Tensor = self.packed.to_dense()
        return dense

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise(  # noqa: SLF001
            x, self.packed, self.bias, "none", [], ""
        )
        return y


def pack(module: nn.Module) -> None:
    """Replace every linear layer below `module` by a packed one."""
    for name, child in module.named_children():
        if isinstance(child, nn.Linear):
            setattr(module, name, PackedLinear(child))
        else:
            pack(child)


class CpuModel:
    """A model in this process's memory.

    It runs exactly the rows it is given, so a partly filled batch costs no more than its rows.
    """

    def __init__(self, whisper: Whisper, config: WhisperConfig, key: ArtifactKey) -> None:
        if key.dtype == "float32" and torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            pack(whisper)
        self.config = config
        self.batch_size = key.batch_size
        self._key = key
        self._whisper = whisper
        self._encoder = Encoder(whisper)
        self._state = DecoderState.empty(config, key.batch_size, getattr(torch, key.dtype))
        self._steps: dict[tuple[int, int], DecoderStep] = {}

    @torch.inference_mode()
    def encode(self, mel: Tensor) -> None:
        """See `CompiledModel.encode`. One row at a time: its activations then fit the caches."""
        for row, spectrogram in enumerate(mel.to(getattr(torch, self._key.dtype))):
            self._state.hear(row, self._encoder(spectrogram.unsqueeze(0)))

    @torch.inference_mode()
    def step(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """See `CompiledModel.step`."""
        rows, count = tokens.shape
        needed = int(positions.max()) + count
        whole = self.config.max_target_positions
        length = next((length for length in CACHE_LENGTHS if needed <= length < whole), whole)
        step = self._steps.get((rows, length))
        if step is None:
            step = DecoderStep(self._whisper, self._state.view(rows, length))
            self._steps[rows, length] = step
        logits: Tensor = step(tokens, positions)
        return logits

    def save(self, directory: Path) -> Path:
        """See `CompiledModel.save`. The folder appears whole or not at all."""
        folder = self._key.folder(directory)
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=directory) as scratch:
            draft = Path(scratch) / folder.name
            draft.mkdir()
            save_file(self._tensors(), draft / WEIGHTS)
            self._key.describe(draft, self.config)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(draft, folder)
        return folder

    def _tensors(self) -> dict[str, Tensor]:
        tensors: dict[str, Tensor] = dict(self._whisper.named_parameters())
        for name, module in self._whisper.named_modules():
            if isinstance(module, PackedLinear):
                tensors[f"{name}.weight"] = module.weight
        del tensors["proj_out.weight"]
        return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


class CpuRuntime:
    """Runs models on `threads` threads of this process, which is a setting of all of PyTorch."""

    def __init__(self, threads: int = 1) -> None:
        torch.set_num_threads(threads)

    def compile(self, checkpoint: Checkpoint, shapes: Shapes) -> CpuModel:
        """See `Runtime.compile`."""
        whisper = Whisper.of(checkpoint.config, checkpoint.state, getattr(torch, shapes.dtype))
        return CpuModel(whisper, checkpoint.config, self._key(checkpoint, shapes))

    def load(self, directory: Path, checkpoint: Checkpoint, shapes: Shapes) -> CpuModel:
        """See `Runtime.load`."""
        key = self._key(checkpoint, shapes)
        folder, config = key.find(directory)
        whisper = Whisper.of(config, load_file(folder / WEIGHTS), getattr(torch, shapes.dtype))
        return CpuModel(whisper, config, key)

    def _key(self, checkpoint: Checkpoint, shapes: Shapes) -> ArtifactKey:
        return ArtifactKey(
            runtime="cpu",
            compiler=f"torch {torch.__version__}",
            model=checkpoint.name,
            revision=checkpoint.revision,
            batch_size=shapes.batch_size,
            dtype=shapes.dtype,
        )
