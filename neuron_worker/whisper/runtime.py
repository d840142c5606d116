"""The seam to the device: compile a checkpoint, run it, save and load what was compiled."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from neuron_worker.whisper.artifacts import DESCRIPTION
from neuron_worker.whisper.checkpoint import Checkpoint, Description, ModelConfig

__all__ = ["DESCRIPTION", "CompiledModel", "Feed", "Runtime", "Shapes"]

STEP_TOKENS = 4
"""How many tokens of a row a device's step takes at once.

Whisper's own start of a prompt, `<|startoftranscript|>`, language, task, goes in one step; and as
a step reads all weights and K/V whatever their number, four tokens cost about as much as one.
"""


@dataclass(frozen=True, slots=True)
class Shapes:
    """What is fixed when a model is compiled. `dtype` is PyTorch's name of the weights' type.

    The CPU takes any number of tokens in a step.
    """

    batch_size: int
    dtype: str = "float32"
    step_tokens: int = STEP_TOKENS


@dataclass(frozen=True, slots=True)
class Feed:
    """Tokens for one row; the first stands at `position`."""

    row: int
    position: int
    tokens: tuple[int, ...]


class CompiledModel(Protocol):
    """A model on its device, with the state of one batch."""

    @property
    def config(self) -> ModelConfig:
        """The model's configuration."""

    @property
    def batch_size(self) -> int:
        """How many rows a batch has at most; fixed when the model was compiled."""

    @property
    def hears_together(self) -> int:
        """How many rows should be free before they hear new windows; 1 where each costs its own."""

    def hear(self, rows: Sequence[int], mels: Tensor) -> None:
        """Let each row hear its window: [rows, mel bins, 3000] float32.

        What the row remembers of tokens stays, and is overwritten from position 0 on.
        """

    def step(self, feeds: Sequence[Feed]) -> Tensor:
        """Feed tokens to different rows; returns the logits [feeds, vocabulary] float32.

        They are those after each feed's last token. A position may be written again; what stands
        beyond a row's last token is not seen. Rows that are not fed stay as they are.
        """

    def align(self, row: int, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Where the tokens are heard in a row's window.

        Returns the cross-attention of the alignment heads [heads, tokens, 1500] and each next
        token's log-probability [tokens], the last of which means nothing, both float32.
        """

    def save(self, directory: Path) -> Path:
        """Write the artifact below `directory`, into the folder of its key; returns that folder."""


class Runtime(Protocol):
    """A kind of device that runs Whisper's graphs."""

    def compile(self, checkpoint: Checkpoint, shapes: Shapes) -> CompiledModel:
        """Build the graphs of a checkpoint for fixed shapes."""

    def describe(self, directory: Path, model: str, shapes: Shapes) -> Description:
        """What `load` would load, without a device: all that can be wrong before there is one.

        Raises ArtifactMismatchError and AmbiguousArtifactError as `load` does, and
        IncompleteArtifactError where a file of the model is missing.
        """

    def load(
        self, directory: Path, model: str, shapes: Shapes
    ) -> tuple[Description, CompiledModel]:
        """The model that `compile` would build, from what `save` wrote below `directory`.

        Needs no checkpoint. Raises ArtifactMismatchError unless name, shapes, versions and the
        code of the graphs are the same, AmbiguousArtifactError where two models are, and
        IncompleteArtifactError where a file is missing.
        """
