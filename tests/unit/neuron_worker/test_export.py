import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from neuron_worker.contract import ExitCode
from neuron_worker.export import main
from neuron_worker.whisper.cpu import CpuRuntime
from neuron_worker.whisper.neuron import NeuronRuntime
from neuron_worker.whisper.runtime import Feed, Shapes
from tests import neuron_chip

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

REPOSITORY = Path(__file__).parents[3]


def export(*options: object) -> ExitCode:
    return main([str(option) for option in options])


def test_an_exported_model_is_what_a_worker_loads(
    model: str, chip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert export("--model", model, "--batch", 2, "--out", out) is ExitCode.FINISHED
    told = capsys.readouterr().out
    [folder] = out.iterdir()
    for step in ("encoder", "step", "alignment"):
        assert f"compiling {step}\n" in told
        assert f"MiB  {step}.pt\n" in told
    assert f"{folder} holds {model}" in told
    _, loaded = NeuronRuntime().load(out, model, Shapes(2, "bfloat16"))
    loaded.hear([1], torch.zeros(1, 80, 40))
    assert loaded.step([Feed(1, 0, (51, 52))]).shape == (1, 60)
    assert loaded.align(1, (51, 3, 50))[1].shape == (3,)


def test_options_become_shapes(model: str, chip: Path, tmp_path: Path) -> None:
    options = ("--dtype", "float32", "--step-tokens", 2, "--no-words")
    assert export("--model", model, "--batch", 1, "--out", tmp_path / "out", *options) == 0
    shapes = Shapes(1, "float32", step_tokens=2)
    _, loaded = NeuronRuntime().load(tmp_path / "out", model, shapes)
    assert not loaded.tells_word_times


@pytest.mark.parametrize("dtype", [None, "bfloat16", "int8"])
def test_a_model_is_exported_for_the_cpu_without_neurons(
    dtype: str | None, model: str, tmp_path: Path
) -> None:
    options = ("--dtype", dtype) if dtype else ()
    code = export("--model", model, "--runtime", "cpu", "--out", tmp_path, *options)
    assert code is ExitCode.FINISHED
    shapes = Shapes(8, dtype or "float32")
    description, loaded = CpuRuntime().load(tmp_path, model, shapes)
    loaded.hear([7], torch.zeros(1, 80, 40))
    assert loaded.step([Feed(7, 0, (51, 52))]).shape == (1, 60)
    assert description.tokenizer.token_to_id("<|startoftranscript|>") == 51


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--model", "/nowhere/at/all"), "Model '/nowhere/at/all' is neither a directory here"),
        ((), "torch-neuronx is not installed"),
        (("--batch", 0), "Invalid value for '--batch'"),
        (("--dtype", "int3"), "Invalid value for '--dtype'"),
        (("--dtype", "int8"), "a NeuronCore runs bfloat16 or float32"),
        (("--revision", "v1"), "has no revision 'v1'"),
        (("--quickly",), "No such option: --quickly"),
    ],
)
def test_what_cannot_be_exported_is_told_in_a_sentence(
    options: tuple[object, ...],
    told: str,
    model: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = export("--model", model, "--out", tmp_path, *options)
    assert code is ExitCode.MISCONFIGURED
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert told in error
    assert list(tmp_path.iterdir()) == []


def test_the_options_are_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert export("--help") is ExitCode.FINISHED
    assert "--no-words" in capsys.readouterr().out


def test_without_the_compiler_nothing_is_exported(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with neuron_chip.installed(tmp_path / "neuron", compiler=False):
        code = export("--model", model, "--out", tmp_path / "out")
    assert code is ExitCode.MISCONFIGURED
    assert "neuronx-cc is not installed" in capsys.readouterr().err


def test_a_full_disk_is_told_and_left_clean(model: str, chip: Path, tmp_path: Path) -> None:
    def at_most_64_kib() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, 2**16))

    out = tmp_path / "out"
    ran = subprocess.run(
        [sys.executable, "-m", "neuron_worker.export", "--model", model, "--out", out],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(chip)},
        preexec_fn=at_most_64_kib,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == ExitCode.MISCONFIGURED
    assert f"error: The compiled model cannot be written to {out}: [Errno 27]" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list(out.iterdir()) == []
