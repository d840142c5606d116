import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.cpu import CACHE_LENGTHS, CpuModel, CpuRuntime
from neuron_worker.whisper.errors import AmbiguousArtifactError, ArtifactMismatchError
from neuron_worker.whisper.runtime import DESCRIPTION, Feed, Shapes

SHAPES = Shapes(batch_size=4)
MELS = torch.randn(4, 80, 100, generator=torch.Generator().manual_seed(1))
TEXT = tuple(range(20, 60))


def listening(checkpoint: Checkpoint, shapes: Shapes = SHAPES) -> CpuModel:
    model = CpuRuntime().compile(checkpoint, shapes)
    model.hear(range(4), MELS)
    return model


def after(model: CpuModel, rows: Sequence[int], tokens: Sequence[int]) -> Tensor:
    """The logits of rows that are fed the same, at once and then one more."""
    model.step([Feed(row, 0, tuple(tokens[:-1])) for row in rows])
    return model.step([Feed(row, len(tokens) - 1, (tokens[-1],)) for row in rows])


def test_a_partly_filled_batch_gives_the_same_logits(small: Checkpoint) -> None:
    model = listening(small)
    full = after(model, range(4), TEXT)
    assert not torch.allclose(full[0], full[1], atol=0.01), "the rows must hear different things"
    for rows in ([0], [3], [1, 3], [3, 0, 2]):
        found = after(model, rows, TEXT)
        torch.testing.assert_close(found, full[rows], atol=1e-4, rtol=0)


steps = st.lists(
    st.dictionaries(st.integers(0, 3), st.integers(1, 3), min_size=1).flatmap(
        lambda counts: st.permutations(list(counts.items()))
    ),
    min_size=1,
    max_size=12,
)


@pytest.fixture(scope="module")
def alone(small: Checkpoint) -> list[CpuModel]:
    """Models of one row, each of which hears another window."""
    models = [CpuRuntime().compile(small, Shapes(1)) for _ in MELS]
    for model, mel in zip(models, MELS, strict=True):
        model.hear([0], mel.unsqueeze(0))
    return models


@settings(deadline=None, max_examples=40)
@given(schedule=steps)
def test_rows_fed_in_any_order_and_number_are_as_if_alone(
    small: Checkpoint, alone: list[CpuModel], schedule: list[list[tuple[int, int]]]
) -> None:
    model, positions = listening(small), [0] * 4
    for fed in schedule:
        feeds = [
            Feed(row, positions[row], TEXT[positions[row] : positions[row] + count])
            for row, count in fed
        ]
        logits = model.step(feeds)
        for feed, ours in zip(feeds, logits, strict=True):
            [theirs] = alone[feed.row].step([replace(feed, row=0)])
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)
            positions[feed.row] += len(feed.tokens)


def test_a_row_that_hears_another_window_leaves_its_mates_alone(small: Checkpoint) -> None:
    model = listening(small)
    model.step([Feed(3, 0, TEXT[:5]), Feed(1, 0, TEXT[:5])])
    full = after(model, range(4), TEXT)
    model.hear([3, 0], MELS[[1, 2]])
    found = after(model, range(4), TEXT)
    torch.testing.assert_close(found, full[[2, 1, 2, 1]], atol=1e-4, rtol=0)


def test_a_row_that_rests_goes_on_where_it_was(small: Checkpoint) -> None:
    model = listening(small)
    full = after(model, range(4), TEXT)
    model.step([Feed(row, 0, TEXT[:20]) for row in range(4)])
    for position in range(25):
        model.step([Feed(row, position, (99,)) for row in (1, 3)])
    model.step([Feed(row, 20, TEXT[20:-1]) for row in (2, 0)])
    found = model.step([Feed(row, len(TEXT) - 1, TEXT[-1:]) for row in (2, 0)])
    torch.testing.assert_close(found, full[[2, 0]], atol=1e-4, rtol=0)


def test_a_short_cache_gives_the_logits_of_the_whole_one(small: Checkpoint) -> None:
    """Of 48 positions: up to 32 the self-attention is cut, beyond it is whole."""
    assert CACHE_LENGTHS[0] == 32
    model = listening(small)
    longer = tuple(range(20, 68))
    whole = [model.step([Feed(0, 0, longer[:count])]) for count in (31, 32, 33, 48)]
    model.step([Feed(0, 0, longer[:30])])
    for position in range(30, 48):
        found = model.step([Feed(0, position, (longer[position],))])
        if position + 1 in (31, 32, 33, 48):
            torch.testing.assert_close(found, whole.pop(0), atol=1e-4, rtol=0)
    assert not whole


def test_a_row_aligns_what_it_hears_wherever_it_stands(small: Checkpoint) -> None:
    fed = listening(small)
    after(fed, [3, 1], TEXT)
    for row in range(4):
        told = fed.align(row, TEXT), listening(small).align(row, TEXT)
        for ours, theirs in zip(*told, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    weights, log_probabilities = fed.align(2, TEXT)
    assert weights.shape == (8, len(TEXT), 50)
    assert log_probabilities.shape == (len(TEXT),)


def test_aligning_leaves_what_rows_remember_alone(small: Checkpoint) -> None:
    model = listening(small)
    expected = after(model, range(4), TEXT)
    model.step([Feed(row, 0, TEXT[:-1]) for row in range(4)])
    model.align(1, TEXT[::-1])
    found = model.step([Feed(row, len(TEXT) - 1, TEXT[-1:]) for row in range(4)])
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_threads_are_set(small: Checkpoint) -> None:
    before = torch.get_num_threads()
    CpuRuntime(threads=before + 1)
    assert torch.get_num_threads() == before + 1
    CpuRuntime(threads=before)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_a_saved_model_runs_as_before(small: Checkpoint, dtype: str, tmp_path: Path) -> None:
    shapes = replace(SHAPES, dtype=dtype)
    model = listening(small, shapes)
    folder = model.save(tmp_path)
    assert folder.parent == tmp_path
    description, loaded = CpuRuntime().load(tmp_path, "small", shapes)
    loaded.hear(range(4), MELS)
    torch.testing.assert_close(after(loaded, range(4), TEXT), after(model, range(4), TEXT))
    assert (description.name, description.revision) == (small.name, small.revision)
    assert loaded.config.d_model == small.config.d_model


def test_a_loaded_model_is_saved_where_it_was(small: Checkpoint, tmp_path: Path) -> None:
    folder = listening(small).save(tmp_path)
    _, loaded = CpuRuntime().load(tmp_path, "small", SHAPES)
    assert loaded.save(tmp_path) == folder
    assert [*tmp_path.iterdir()] == [folder]


def test_models_of_different_shapes_share_a_directory(small: Checkpoint, tmp_path: Path) -> None:
    runtime = CpuRuntime()
    folders = [runtime.compile(small, Shapes(size)).save(tmp_path) for size in (1, 2, 1)]
    assert folders[0] == folders[2] != folders[1]
    assert sorted(tmp_path.iterdir()) == sorted(set(folders))
    assert runtime.load(tmp_path, "small", Shapes(2))[1].batch_size == 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": "other"}, "model is 'small' there and must be 'other'"),
        ({"batch_size": 8}, "batch_size is 4 there and must be 8"),
        ({"dtype": "bfloat16"}, "dtype is 'float32' there and must be 'bfloat16'"),
        ({"torch": "9.9"}, f"libraries is 'torch {torch.__version__}' there and must be 'torch 9"),
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
    of_shapes = {key: value for key, value in change.items() if key in ("batch_size", "dtype")}
    monkeypatch.setattr(torch, "__version__", change.get("torch", torch.__version__))
    with pytest.raises(ArtifactMismatchError) as refused:
        CpuRuntime().load(tmp_path, change.get("model", "small"), replace(SHAPES, **of_shapes))
    assert told in str(refused.value)
    assert "python -m neuron_worker export --runtime cpu" in str(refused.value)


def test_a_folder_that_holds_something_else_is_refused(small: Checkpoint, tmp_path: Path) -> None:
    folder = CpuRuntime().compile(small, SHAPES).save(tmp_path)
    described = json.loads((folder / DESCRIPTION).read_bytes())
    described["key"]["graphs"] = "0"
    (folder / DESCRIPTION).write_text(json.dumps(described))
    with pytest.raises(ArtifactMismatchError, match="compiled from other graphs"):
        CpuRuntime().load(tmp_path, "small", SHAPES)


def test_models_of_different_weights_are_told_apart(small: Checkpoint, tmp_path: Path) -> None:
    for revision in "12":
        CpuRuntime().compile(replace(small, revision=revision), SHAPES).save(tmp_path)
    with pytest.raises(AmbiguousArtifactError, match="more than one compiled model of 'small'"):
        CpuRuntime().load(tmp_path, "small", SHAPES)


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMismatchError, match="it holds none at all"):
        CpuRuntime().load(tmp_path, "small", SHAPES)
