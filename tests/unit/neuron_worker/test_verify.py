import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuron_worker.contract import ExitCode
from neuron_worker.export import main as export
from neuron_worker.verify import main
from tests import neuron_chip

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def artifacts(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model, compiled for a NeuronCore by the stand-in."""
    out = tmp_path_factory.mktemp("artifacts")
    with neuron_chip.installed(tmp_path_factory.mktemp("neuron")):
        assert export(["--model", model, "--batch", "2", "--out", str(out)]) is ExitCode.FINISHED
    return out


@pytest.fixture
def image(model: str, artifacts: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of an image that holds the model."""
    for name, value in {
        "WHISPER_FLEET_MODEL": model,
        "WHISPER_FLEET_RUNTIME": "neuron",
        "WHISPER_FLEET_ARTIFACTS": str(artifacts),
        "WHISPER_FLEET_BATCH_SIZE": "2",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_a_whole_image_says_what_is_in_it_and_takes_no_core(
    image: pytest.MonkeyPatch, model: str, chip: Path, tmp_path: Path
) -> None:
    both = neuron_chip.Driver()
    os.environ["NEURON_RT_NUM_CORES"] = "2"
    both.initialize()
    os.environ["NEURON_RT_NUM_CORES"] = "1"
    ran = subprocess.run(
        [sys.executable, "-m", "neuron_worker", "verify"],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONPATH": str(chip)},
        capture_output=True,
        text=True,
    )
    both.release()
    assert ran.returncode == ExitCode.FINISHED, ran.stderr
    assert f"{model} for neuron, bfloat16, of " in ran.stdout
    assert f"torch-neuronx {neuron_chip.VERSION}\n" in ran.stdout


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("WHISPER_FLEET_MODEL", "another", "holds no compiled model that fits: model is"),
        ("WHISPER_FLEET_BATCH_SIZE", "3", "batch_size is 2 there and must be 3"),
        ("WHISPER_FLEET_BATCH_SIZE", "many", "WHISPER_FLEET_BATCH_SIZE: Input should be"),
        ("NEURON_RT_NUM_CORES", "2", "NEURON_RT_NUM_CORES is '2'"),
    ],
)
def test_what_does_not_fit_is_told(
    variable: str,
    value: str,
    told: str,
    image: pytest.MonkeyPatch,
    chip: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    image.setenv(variable, value)
    assert main() is ExitCode.MISCONFIGURED
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("file", ["encoder.pt", "step.pt", "probe.safetensors"])
def test_a_missing_file_is_told(
    file: str,
    image: pytest.MonkeyPatch,
    artifacts: Path,
    chip: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    [found] = artifacts.rglob(file)
    away = found.rename(artifacts / "away")
    try:
        assert main() is ExitCode.MISCONFIGURED
    finally:
        away.rename(found)
    assert f"is not whole: {file} is missing" in capsys.readouterr().err
