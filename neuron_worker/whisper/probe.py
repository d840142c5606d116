"""A question with a known answer, asked wherever a compiled model is loaded.

Nothing else would tell that a device keeps its state otherwise than is documented: it would write
fluent text that nobody said.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from neuron_worker.whisper.errors import WrongNumbersError
from neuron_worker.whisper.runtime import CompiledModel, Feed
from neuron_worker.whisper.traced import frames_of

PROBE = "probe.safetensors"
"""The file in an artifact's folder that holds question and answer."""

LIKENESS_MIN = 0.98
"""How much logits must be alike: the cosine of what is left of both without their means.

Of tiny.en, bfloat16's are to 0.9996 those of float32, and what follows the two windows is alike to
0.55.
"""

TOKENS = tuple(range(1, 10))
"""More than a device's step takes at once."""


@dataclass(frozen=True, eq=False, slots=True)
class Probe:
    """Two windows [2, mel bins, 3000], noise and a monotone, and the logits after each [2, V]."""

    mels: Tensor
    logits: Tensor

    @classmethod
    def of(cls, model: CompiledModel) -> Self:
        """Let a trusted model answer."""
        config = model.config
        noise = torch.randn(
            config.num_mel_bins, frames_of(config), generator=torch.Generator().manual_seed(0)
        )
        mels = torch.stack([noise, torch.zeros_like(noise)])
        return cls(mels, _answers(model, mels))

    def save(self, folder: Path) -> None:
        """Write it into an artifact's folder."""
        save_file({"mels": self.mels, "logits": self.logits}, folder / PROBE)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote."""
        tensors = load_file(folder / PROBE)
        return cls(tensors["mels"], tensors["logits"])

    def ask(self, model: CompiledModel, folder: Path) -> None:
        """Let a model answer that was loaded from `folder`; WrongNumbersError if it is wrong."""
        likeness = _likeness(_answers(model, self.mels), self.logits)
        if not bool((likeness >= LIKENESS_MIN).all()):
            told = ", ".join(f"{each:.3f}" for each in likeness.tolist())
            raise WrongNumbersError(directory=folder, problem=f"alike to {told} of 1 only")


def _answers(model: CompiledModel, mels: Tensor) -> Tensor:
    """One row hears the windows one after the other, so that the second must replace the first."""
    row = model.batch_size - 1
    logits = []
    for mel in mels:
        model.hear([row], mel.unsqueeze(0))
        logits.append(model.step([Feed(row, 0, TOKENS)]))
    return torch.cat(logits)


def _likeness(logits: Tensor, others: Tensor) -> Tensor:
    return torch.cosine_similarity(_centred(logits), _centred(others), dim=-1)


def _centred(logits: Tensor) -> Tensor:
    return logits - logits.mean(dim=-1, keepdim=True)
