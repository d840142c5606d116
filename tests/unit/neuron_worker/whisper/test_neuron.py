import gc
import json
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from neuron_worker.speech import Window
from neuron_worker.whisper import neuron
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.cpu import CpuRuntime
from neuron_worker.whisper.errors import (
    CompilationError,
    NoWordTimesError,
    WrongNumbersError,
)
from neuron_worker.whisper.mel import log_mel
from neuron_worker.whisper.neuron import NeuronModel, NeuronRuntime
from neuron_worker.whisper.runtime import CompiledModel, Feed
from tests import greedy, neuron_chip

pytestmark = pytest.mark.filterwarnings(
    # The last PyTorch that runs on the chip is 2.9; later ones deprecate what it needs.
    "ignore:`torch.jit:DeprecationWarning"
)

SHAPES = neuron_chip.SHAPES

REPOSITORY = Path(__file__).parents[4]


@pytest.fixture(scope="module")
def exported_tiny(tiny_en: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds tiny.en, compiled."""
    directory = tmp_path_factory.mktemp("tiny")
    with neuron_chip.installed(tmp_path_factory.mktemp("neuron")):
        NeuronRuntime().export(tiny_en, greedy.SHAPES, directory, words=False)
    return directory


@pytest.fixture
def model(exported: Path, chip: Path) -> NeuronModel:
    return NeuronRuntime().load(exported, "small", SHAPES)[1]


def mels(count: int) -> Tensor:
    return torch.randn(count, 80, 100, generator=torch.Generator().manual_seed(count))


def test_a_new_process_decodes_speech_from_the_artifact_alone(
    tiny_en: Checkpoint, exported_tiny: Path, speech: list[Window], chip: Path, tmp_path: Path
) -> None:
    heard = torch.stack([log_mel(window.samples, 80) for window in speech])
    save_file({"mels": heard}, tmp_path / "mels.safetensors")
    # This process holds one of the chip's two cores.
    os.environ["NEURON_RT_NUM_CORES"] = "1"
    neuron_chip.driver.initialize()
    ran = subprocess.run(
        [sys.executable, "-m", "tests.greedy", exported_tiny, tmp_path / "mels.safetensors"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(chip)},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    expected = greedy.decoded(CpuRuntime().compile(tiny_en, greedy.SHAPES), heard)
    assert json.loads(ran.stdout) == expected
    assert [len(chosen) for chosen in expected] == [20, 13, 20]
    assert "weather" in tiny_en.tokenizer.decode([*chain(*expected)]).lower()


def test_any_order_of_hearing_and_feeding_gives_the_numbers_of_the_cpu(
    model: NeuronModel, small: Checkpoint
) -> None:
    cpu = CpuRuntime().compile(small, SHAPES)
    chance = random.Random(1)
    lengths = [0, 0, 0, 0]
    windows = mels(40)
    both: list[CompiledModel] = [model, cpu]
    for each in both:
        each.hear([0, 1, 2, 3], windows[:4])
    for window in windows[4:]:
        rows = chance.sample(range(4), chance.randint(1, 4))
        if chance.random() < 0.3:
            lengths[rows[0]] = chance.choice([0, lengths[rows[0]]])
            for each in both:
                each.hear(rows[:1], window.unsqueeze(0))
        feeds = []
        for row in rows:
            # Anew, again over the last tokens, or on; up to the last position.
            start = max(0, chance.choice([0, lengths[row] - 2, lengths[row], lengths[row]]))
            start = 0 if start >= 48 else start
            tokens = [chance.randrange(180) for _ in range(chance.choice([1, 1, 3, 4, 5, 11]))]
            feeds.append(Feed(row, start, tuple(tokens[: 48 - start])))
            lengths[row] = start + len(feeds[-1].tokens)
        ours, theirs = (each.step(feeds) for each in both)
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


def test_the_last_position_can_be_fed(model: NeuronModel, small: Checkpoint) -> None:
    cpu = CpuRuntime().compile(small, SHAPES)
    tokens = tuple(range(100, 147))
    answers = []
    for each in (model, cpu):
        each.hear([1, 2], mels(2))
        each.step([Feed(1, 0, tokens), Feed(2, 0, tokens[:46])])
        answers.append(each.step([Feed(1, 47, (7,)), Feed(2, 46, (8, 9))]))
    torch.testing.assert_close(*answers, atol=1e-4, rtol=0)


def test_words_are_aligned_as_on_the_cpu(model: NeuronModel, small: Checkpoint) -> None:
    cpu = CpuRuntime().compile(small, SHAPES)
    tokens = [1, 2, 150, 31, 32, 33, 179]
    for each in (model, cpu):
        each.hear([0, 2], mels(2))
    (weights, chances), (their_weights, their_chances) = (
        each.align(2, tokens) for each in (model, cpu)
    )
    torch.testing.assert_close(weights, their_weights, atol=1e-4, rtol=0)
    torch.testing.assert_close(chances[:-1], their_chances[:-1], atol=1e-4, rtol=0)


def test_bfloat16_stays_close_to_float32(small: Checkpoint, chip: Path, tmp_path: Path) -> None:
    shapes = replace(SHAPES, dtype="bfloat16")
    NeuronRuntime().export(small, shapes, tmp_path, words=False)
    _, narrow = NeuronRuntime().load(tmp_path, "small", shapes)
    wide = CpuRuntime().compile(small, SHAPES)
    feeds = [Feed(3, 0, (5, 6, 7, 8, 9))]
    for each in (narrow, wide):
        each.hear([3], mels(1))
    assert narrow.step(feeds).dtype == torch.float32
    assert torch.cosine_similarity(narrow.step(feeds), wide.step(feeds)) > 0.995


def test_a_loaded_model_knows_what_it_is(exported: Path, chip: Path, small: Checkpoint) -> None:
    description, loaded = NeuronRuntime().load(exported, "small", SHAPES)
    assert (description.name, description.revision) == ("small", "1")
    assert description.generation == small.generation
    assert description.tokenizer.to_str() == small.tokenizer.to_str()
    assert (loaded.batch_size, loaded.config.d_model) == (4, 64)
    assert loaded.hears_together == 2


def test_a_compiled_model_runs_and_leaves_nothing_behind(
    small: Checkpoint, chip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    compiled = NeuronRuntime().compile(small, SHAPES)
    compiled.hear([0], mels(1))
    assert compiled.step([Feed(0, 0, (1,))]).shape == (1, 180)
    assert [path.name.startswith("compiled-") for path in tmp_path.glob("*-*")] == [True]
    del compiled
    gc.collect()
    assert list(tmp_path.glob("*-*")) == []


def test_a_model_without_the_alignment_graph_says_so(
    small: Checkpoint, chip: Path, tmp_path: Path
) -> None:
    NeuronRuntime().export(small, SHAPES, tmp_path, words=False)
    _, loaded = NeuronRuntime().load(tmp_path, "small", SHAPES)
    assert not loaded.tells_word_times
    with pytest.raises(NoWordTimesError, match="export --runtime neuron --model small --batch 4"):
        loaded.align(0, [1, 2])


def test_a_compiler_that_fails_leaves_nothing(
    small: Checkpoint, chip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(neuron, "COMPILER_ARGS", ("--target", "inf2", "--optlevel", "9"))
    told = "The encoder of model 'small' could not .* unrecognized arguments: --optlevel 9"
    with pytest.raises(CompilationError, match=told) as failed:
        NeuronRuntime().export(small, SHAPES, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
    [workdir] = tmp_path.glob("neuronx-cc-encoder-*")
    assert str(workdir) in str(failed.value)


def test_a_device_that_does_not_hear_is_found_out(
    exported_tiny: Path, chip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = NeuronModel._cross_states

    def orphans(self: NeuronModel) -> list[Tensor]:
        return [state.clone() for state in states(self)]

    monkeypatch.setattr(NeuronModel, "_cross_states", orphans)
    with pytest.raises(WrongNumbersError, match=r"alike to 0\.\d+, 0\.\d+ of 1 only"):
        NeuronRuntime().load(exported_tiny, "tiny.en", greedy.SHAPES)
