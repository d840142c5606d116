import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from neuron_worker.whisper.artifacts import DESCRIPTION, code_digest
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.errors import (
    AmbiguousArtifactError,
    ArtifactMismatchError,
    UnwritableArtifactError,
)
from neuron_worker.whisper.neuron import NeuronModel, NeuronRuntime
from neuron_worker.whisper.runtime import Feed, Shapes
from tests import neuron_chip

pytestmark = pytest.mark.filterwarnings(
    # The last PyTorch that runs on the chip is 2.9; later ones deprecate what it needs.
    "ignore:`torch.jit:DeprecationWarning"
)

SHAPES = neuron_chip.SHAPES


@pytest.fixture
def model(exported: Path, chip: Path) -> NeuronModel:
    return NeuronRuntime().load(exported, "small", SHAPES)[1]


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        (replace(SHAPES, batch_size=8), "batch_size is 4 there and must be 8"),
        (replace(SHAPES, dtype="bfloat16"), "dtype is 'float32' there and must be 'bfloat16'"),
        (replace(SHAPES, step_tokens=2), "step_tokens is 4 there and must be 2"),
    ],
)
def test_other_shapes_are_refused(shapes: Shapes, told: str, exported: Path, chip: Path) -> None:
    with pytest.raises(ArtifactMismatchError, match=told) as refused:
        NeuronRuntime().load(exported, "small", shapes)
    command = (
        f"`python -m neuron_worker export --runtime neuron --model small"
        f" --batch {shapes.batch_size} --dtype {shapes.dtype}"
        f" --step-tokens {shapes.step_tokens} --out {exported}`"
    )
    assert command in str(refused.value)


@pytest.mark.parametrize(
    ("field", "found", "told"),
    [
        ("libraries", "torch 2.8", "libraries is 'torch 2.8' there and must be 'torch "),
        ("compiler", "neuronx-cc 2.1", "compiler is 'neuronx-cc 2.1' there and must be 'neuronx-"),
        ("flags", "--optlevel 3", "flags is '--optlevel 3' there and must be '--target inf2 "),
        ("graphs", "0", "it was compiled from other graphs than this version's"),
        ("runtime", "cpu", "runtime is 'cpu' there and must be 'neuron'"),
    ],
)
def test_what_other_versions_compiled_is_refused(
    field: str, found: str, told: str, model: NeuronModel, tmp_path: Path
) -> None:
    file = model.save(tmp_path / "other") / DESCRIPTION
    described = json.loads(file.read_bytes())
    described["key"][field] = found
    file.write_text(json.dumps(described))
    with pytest.raises(ArtifactMismatchError) as refused:
        NeuronRuntime().load(tmp_path / "other", "small", SHAPES)
    assert told in str(refused.value)


def test_the_digest_of_the_graphs_tells_code_from_comment() -> None:
    before = code_digest(['def f(x):\n    """Add."""\n    return x + 1\n'])
    assert before == code_digest(["def f(x):  # more\n    return (x + 1)\n"])
    assert before != code_digest(["def f(x):\n    return x + 2\n"])


def test_models_of_two_revisions_are_not_chosen_from(
    exported: Path, small: Checkpoint, chip: Path, tmp_path: Path
) -> None:
    for revision in ("1", "2"):
        other = replace(small, revision=revision)
        NeuronRuntime().export(other, SHAPES, tmp_path / "both", words=False)
    with pytest.raises(AmbiguousArtifactError, match="delete all but the one to use"):
        NeuronRuntime().load(tmp_path / "both", "small", SHAPES)


def test_a_loaded_model_can_be_saved_elsewhere(
    model: NeuronModel, exported: Path, tmp_path: Path
) -> None:
    saved = model.save(tmp_path / "copy")
    assert model.save(tmp_path / "copy") == saved
    [original] = exported.iterdir()
    assert saved.name == original.name
    assert sorted(f.name for f in saved.iterdir()) == sorted(f.name for f in original.iterdir())
    _, again = NeuronRuntime().load(tmp_path / "copy", "small", SHAPES)
    for each in (model, again):
        each.hear([0], torch.ones(1, 80, 100))
    feeds = [Feed(0, 0, (1, 2, 3))]
    assert torch.equal(model.step(feeds), again.step(feeds))


def test_a_directory_that_cannot_be_written_is_told(
    small: Checkpoint, chip: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UnwritableArtifactError, match=r"Not a directory|File exists"):
        NeuronRuntime().export(small, SHAPES, tmp_path / "file")
