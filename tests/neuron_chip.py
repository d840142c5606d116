"""A stand-in for a Neuron device and for the installation of what runs on it.

Cores are files that a process locks, so that the kernel takes them back from whoever ends.

Sources: AWS Neuron documentation, Neuron Runtime configuration and troubleshooting.
"""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import torch

from neuron_worker.whisper.runtime import Shapes

VERSION = "2.9.0.2.15.32035"
COMPILER_VERSION = "2.26.6360.0+6f180f47"

SHAPES = Shapes(batch_size=4, dtype="float32", step_tokens=4)
"""What small models are compiled for."""

DEVICE = "TESTS_NEURONX_DEVICE"
"""The environment variable that names the directory of the chip's cores, a file each."""

NOT_INITIALIZED = (
    "The PyTorch Neuron Runtime could not be initialized. Neuron Driver issues are logged\n"
    "to your system logs. See the Neuron Runtime's troubleshooting guide for help on this\n"
    "topic: https://awsdocs-neuron.readthedocs-hosted.com/en/latest/"
)

load_script_module = torch.jit.load
"""As PyTorch has it."""


def install(directory: Path, *, cores: int, compiler: bool) -> Path:
    """Make a site directory that holds the stand-in as an installed package; returns it.

    A process finds it by its path, and its chip, `directory`/device, by the DEVICE variable.
    """
    site = directory / "site"
    for name, version in (("torch-neuronx", VERSION), ("neuronx-cc", COMPILER_VERSION)):
        if name == "neuronx-cc" and not compiler:
            continue
        about = site / f"{name.replace('-', '_')}-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    package = site / "torch_neuronx"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from tests.neuronx import move_trace_to_device, start, trace\n\nstart()\n"
    )
    device = directory / "device"
    device.mkdir()
    for index in range(cores):
        (device / f"core{index}").touch()
    return site


@contextmanager
def installed(directory: Path, *, cores: int = 2, compiler: bool = True) -> Iterator[Path]:
    """Let this process find the stand-in, and a chip whose cores are all free; gives its site."""
    site = install(directory, cores=cores, compiler=compiler)
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("NEURON_RT_NUM_CORES", "NEURON_RT_VISIBLE_CORES"):
            patch.setenv(variable, "")
            patch.delenv(variable)
        patch.setenv(DEVICE, str(directory / "device"))
        patch.syspath_prepend(site)
        patch.setattr(torch.jit, "load", load_script_module)
        patch.setitem(sys.modules, "torch_neuronx", None)
        patch.delitem(sys.modules, "torch_neuronx")
        try:
            yield site
        finally:
            driver.release()


class Driver:
    """The cores that a process holds; the kernel takes them back when the process ends."""

    def __init__(self) -> None:
        self._held: list[IO[str]] = []

    def initialize(self) -> None:
        """Take as many cores as the environment says, all of them unless it says, once."""
        if self._held:
            return
        cores = sorted(Path(os.environ[DEVICE]).glob("core*"))
        wanted = int(os.environ.get("NEURON_RT_NUM_CORES", "0")) or len(cores)
        for core in cores:
            self._take(core, wanted)
        if len(self._held) < wanted:
            available = len(self._held)
            self.release()
            print(  # noqa: T201
                "ERROR   NRT:nrt_allocate_neuron_cores               NeuronCore(s) not available"
                f" - Requested:{wanted} Available:{available}",
                file=sys.stderr,
            )
            raise RuntimeError(NOT_INITIALIZED)

    def _take(self, core: Path, wanted: int) -> None:
        if len(self._held) == wanted:
            return
        handle = core.open()
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
        else:
            self._held.append(handle)

    def release(self) -> None:
        """What the end of a process does."""
        for handle in self._held:
            handle.close()
        self._held.clear()


driver = Driver()
"""This process's."""
