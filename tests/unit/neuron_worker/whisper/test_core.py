import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from neuron_worker.whisper import neuron
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.core import WAIT_SECONDS_MAX, check_device_nodes
from neuron_worker.whisper.errors import (
    CoreCountError,
    DeviceForbiddenError,
    NeuronMissingError,
    NoCoreError,
)
from neuron_worker.whisper.neuron import NeuronModel, NeuronRuntime
from tests import neuron_chip

pytestmark = pytest.mark.filterwarnings(
    # The last PyTorch that runs on the chip is 2.9; later ones deprecate what it needs.
    "ignore:`torch.jit:DeprecationWarning"
)

SHAPES = neuron_chip.SHAPES

NOBODY = 65_534


@pytest.fixture
def model(exported: Path, chip: Path) -> NeuronModel:
    return NeuronRuntime().load(exported, "small", SHAPES)[1]


def test_a_core_that_becomes_free_is_taken(exported: Path, chip: Path) -> None:
    others = neuron_chip.Driver(), neuron_chip.Driver()
    os.environ["NEURON_RT_NUM_CORES"] = "1"
    for other in others:
        other.initialize()
    waits: list[float] = []

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            others[1].release()

    NeuronRuntime(sleep=sleep).load(exported, "small", SHAPES)
    assert waits == [1, 2, 4]
    others[0].release()


def test_where_no_core_becomes_free_waiting_ends(exported: Path, chip: Path) -> None:
    other = neuron_chip.Driver()
    other.initialize()
    waits: list[float] = []
    with pytest.raises(NoCoreError, match=r"free in \d+ s \(The PyTorch Neuron Runtime could not"):
        NeuronRuntime(sleep=waits.append).load(exported, "small", SHAPES)
    assert WAIT_SECONDS_MAX <= sum(waits) < WAIT_SECONDS_MAX + 10
    other.release()


@pytest.mark.parametrize(
    ("variable", "value"), [("NEURON_RT_NUM_CORES", "2"), ("NEURON_RT_VISIBLE_CORES", "0-1")]
)
def test_more_than_one_core_is_not_asked_for(
    variable: str, value: str, exported: Path, chip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(CoreCountError, match=f"{variable} is '{value}'"):
        NeuronRuntime().load(exported, "small", SHAPES)


def test_one_core_is_asked_for(model: NeuronModel) -> None:
    assert os.environ["NEURON_RT_NUM_CORES"] == "1"
    neighbour = neuron_chip.Driver()
    neighbour.initialize()
    neighbour.release()


def test_without_the_plugin_nothing_is_loaded_or_compiled(
    exported: Path, small: Checkpoint, tmp_path: Path
) -> None:
    with pytest.raises(NeuronMissingError, match=r"torch-neuronx is not .* nothing runs"):
        NeuronRuntime().load(exported, "small", SHAPES)
    with pytest.raises(NeuronMissingError, match=r"torch-neuronx is not .* can be compiled"):
        NeuronRuntime().export(small, SHAPES, tmp_path)


def test_the_compiler_is_needed_to_compile_alone(
    exported: Path, small: Checkpoint, tmp_path: Path
) -> None:
    with neuron_chip.installed(tmp_path / "neuron", compiler=False):
        with pytest.raises(NeuronMissingError, match="neuronx-cc is not installed"):
            NeuronRuntime().export(small, SHAPES, tmp_path / "none")
        NeuronRuntime().load(exported, "small", SHAPES)


@contextmanager
def not_as_root() -> Iterator[None]:
    """Root may open everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def devices() -> Iterator[Path]:
    """A directory such as /dev, where every user may look."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        (Path(directory) / "neuron_info").touch(0o666)
        yield Path(directory)


def test_chips_that_this_user_may_not_open_are_told(devices: Path) -> None:
    for number in range(2):
        (devices / f"neuron{number}").touch()
        (devices / f"neuron{number}").chmod(0o400)
    with not_as_root(), pytest.raises(DeviceForbiddenError) as forbidden:
        check_device_nodes(devices)
    assert f"may not open {devices}/neuron0 (mode 0400, user {os.geteuid()}," in str(
        forbidden.value
    )


def test_a_model_is_not_loaded_where_no_chip_may_be_opened(
    devices: Path, exported: Path, chip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (devices / "neuron0").touch()
    (devices / "neuron0").chmod(0o400)
    monkeypatch.setattr(neuron, "check_device_nodes", partial(check_device_nodes, devices))
    with not_as_root(), pytest.raises(DeviceForbiddenError):
        NeuronRuntime().load(exported, "small", SHAPES)


def test_one_chip_that_this_user_may_open_is_enough(devices: Path) -> None:
    for number, mode in enumerate((0o400, 0o666)):
        (devices / f"neuron{number}").touch()
        (devices / f"neuron{number}").chmod(mode)
    with not_as_root():
        check_device_nodes(devices)


def test_without_a_chip_the_runtime_has_the_last_word(devices: Path) -> None:
    with not_as_root():
        check_device_nodes(devices)
