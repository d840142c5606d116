import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.cpu import CpuModel, CpuRuntime, PackedLinear
from neuron_worker.whisper.errors import ArtifactMismatchError
from neuron_worker.whisper.runtime import DESCRIPTION, Shapes

SHAPES = Shapes(batch_size=4)


def logits(model: CpuModel, rows: int = 4) -> torch.Tensor:
    """After three tokens and then one more, at length 48 of a cache of 48."""
    model.encode(torch.randn(4, 80, 100, generator=torch.Generator().manual_seed(1))[:rows])
    tokens = torch.arange(48, dtype=torch.int32).expand(rows, -1)
    model.step(tokens[:, :47], torch.zeros(rows, dtype=torch.int32))
    return model.step(tokens[:, 47:], torch.full((rows,), 47, dtype=torch.int32))


@pytest.mark.parametrize("rows", [1, 2, 5, 1500])
def test_a_packed_linear_layer_is_a_linear_layer(rows: int) -> None:
    linear = torch.nn.Linear(64, 200).requires_grad_(False)
    packed = PackedLinear(linear)
    x = torch.randn(1, rows, 64)
    torch.testing.assert_close(packed(x), linear(x), atol=1e-5, rtol=1e-5)
    assert torch.equal(packed.weight, linear.weight)


def test_a_partly_filled_batch_gives_the_same_logits(small: Checkpoint) -> None:
    model = CpuRuntime().compile(small, SHAPES)
    full = logits(model)
    torch.testing.assert_close(logits(model, rows=2), full[:2], atol=1e-4, rtol=0)


def test_threads_are_set(small: Checkpoint) -> None:
    before = torch.get_num_threads()
    CpuRuntime(threads=before + 1)
    assert torch.get_num_threads() == before + 1
    CpuRuntime(threads=before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_saved_model_runs_as_before(small: Checkpoint, dtype: str, tmp_path: Path) -> None:
    runtime = CpuRuntime()
    shapes = replace(SHAPES, dtype=dtype)
    model = runtime.compile(small, shapes)
    folder = model.save(tmp_path)
    assert folder.parent == tmp_path
    loaded = CpuRuntime().load(tmp_path, small, shapes)
    assert torch.equal(logits(loaded), logits(model))
    assert loaded.config.d_model == small.config.d_model


def test_models_of_different_shapes_share_a_directory(small: Checkpoint, tmp_path: Path) -> None:
    runtime = CpuRuntime()
    folders = [runtime.compile(small, Shapes(size)).save(tmp_path) for size in (1, 2, 1)]
    assert folders[0] == folders[2] != folders[1]
    assert sorted(tmp_path.iterdir()) == sorted(set(folders))
    assert runtime.load(tmp_path, small, Shapes(2)).batch_size == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"revision": "2"}, "revision is '1' there and must be '2'"),
        ({"name": "other"}, "model is 'small' there and must be 'other'"),
        ({"batch_size": 8}, "batch_size is 4 there and must be 8"),
        ({"dtype": "bfloat16"}, "dtype is 'float32' there and must be 'bfloat16'"),
        ({"torch": "9.9"}, f"compiler is 'torch {torch.__version__}' there and must be 'torch 9.9"),
    ],
)
def test_a_model_that_does_not_fit_is_refused(
    change: dict[str, Any],
    told: str,
    small: Checkpoint,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    CpuRuntime().compile(small, SHAPES).save(tmp_path)
    of_checkpoint = {key: value for key, value in change.items() if key in ("revision", "name")}
    of_shapes = {key: value for key, value in change.items() if key in ("batch_size", "dtype")}
    monkeypatch.setattr(torch, "__version__", change.get("torch", torch.__version__))
    with pytest.raises(ArtifactMismatchError) as refused:
        CpuRuntime().load(tmp_path, replace(small, **of_checkpoint), replace(SHAPES, **of_shapes))
    assert told in str(refused.value)
    assert "Compile the model again" in str(refused.value)


def test_a_folder_that_holds_something_else_is_refused(small: Checkpoint, tmp_path: Path) -> None:
    folder = CpuRuntime().compile(small, SHAPES).save(tmp_path)
    described = json.loads((folder / DESCRIPTION).read_bytes())
    described["key"]["revision"] = "0"
    (folder / DESCRIPTION).write_text(json.dumps(described))
    with pytest.raises(ArtifactMismatchError, match="revision is '0' there"):
        CpuRuntime().load(tmp_path, small, SHAPES)


def test_an_empty_directory_is_refused(small: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMismatchError, match="it holds none at all"):
        CpuRuntime().load(tmp_path, small, SHAPES)
