"""The seam to the device: compile a checkpoint, run it, save and load what was compiled."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor
from transformers.models.whisper.configuration_whisper import WhisperConfig

from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.errors import ArtifactMismatchError

DESCRIPTION = "artifact.json"
"""The file in an artifact's folder that says what was compiled: its key and configuration."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """What is fixed when a model is compiled. `dtype` is PyTorch's name of the weights' type."""

    batch_size: int
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class ArtifactKey:
    """All that a compiled model depends on: where one field differs, it does not fit."""

    runtime: str
    compiler: str
    model: str
    revision: str
    batch_size: int
    dtype: str

    def folder(self, directory: Path) -> Path:
        """Where below `directory` the artifact of this key stands."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()
        return directory / digest[:16]

    def describe(self, folder: Path, config: WhisperConfig) -> None:
        """Write into `folder` that it holds the artifact of this key."""
        described = {"key": asdict(self), "config": config.to_dict()}
        (folder / DESCRIPTION).write_text(json.dumps(described, indent=1, default=str))

    def find(self, directory: Path) -> tuple[Path, WhisperConfig]:
        """The folder of this key's artifact, and its configuration.

        Raises ArtifactMismatchError, which says what differs, where there is none that fits.
        """
        folder = self.folder(directory)
        if not (folder / DESCRIPTION).is_file():
            raise ArtifactMismatchError(directory=directory, differences=self._absent(directory))
        described = json.loads((folder / DESCRIPTION).read_bytes())
        if differences := self._differences(described["key"]):
            raise ArtifactMismatchError(directory=folder, differences=differences)
        return folder, WhisperConfig.from_dict(described["config"])

    def _absent(self, directory: Path) -> str:
        others = sorted(directory.glob(f"*/{DESCRIPTION}"))
        differences = [self._differences(json.loads(file.read_bytes())["key"]) for file in others]
        return " | ".join(differences) or "it holds none at all"

    def _differences(self, other: dict[str, object]) -> str:
        return ", ".join(
            f"{field} is {other.get(field)!r} there and must be {value!r}"
            for field, value in asdict(self).items()
            if other.get(field) != value
        )


class CompiledModel(Protocol):
    """A model on its device, with the state of one batch."""

    @property
    def config(self) -> WhisperConfig:
        """The model's configuration."""

    @property
    def batch_size(self) -> int:
        """How many rows a batch has at most; fixed when the model was compiled."""

    def encode(self, mel: Tensor) -> None:
        """Let rows 0 … n-1 hear [n, mel bins, 3000] float32, n at most the batch size."""

    def step(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """Feed tokens [n, T] int32 at each row's position [n] int32 and those after it.

        Returns the logits [n, vocabulary] float32 after each row's last token. A position may be
        written again; what stands beyond a row's last token is not seen.
        """

    def save(self, directory: Path) -> Path:
        """Write the artifact below `directory`, into the folder of its key; returns that folder."""


class Runtime(Protocol):
    """A kind of device that runs Whisper's graphs."""

    def compile(self, checkpoint: Checkpoint, shapes: Shapes) -> CompiledModel:
        """Build the graphs of a checkpoint for fixed shapes."""

    def load(self, directory: Path, checkpoint: Checkpoint, shapes: Shapes) -> CompiledModel:
        """The model that `compile` would build, from what `save` wrote below `directory`.

        Raises ArtifactMismatchError unless model, weights, shapes and versions are the same.
        """
