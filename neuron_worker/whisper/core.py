"""The NeuronCore of this process: one, taken when the first graph is loaded, held until the end."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module, metadata
from pathlib import Path
from types import ModuleType

import structlog
import torch
from tenacity import RetryCallState, Retrying, retry_if_exception, wait_exponential

from neuron_worker.whisper.errors import (
    CoreCountError,
    DeviceForbiddenError,
    NeuronMissingError,
    NoCoreError,
)

log = structlog.get_logger()

PLUGIN = "torch-neuronx"
"""The package that traces graphs and runs them."""

COMPILER = "neuronx-cc"
"""The package that compiles what was traced; not needed to run it."""

NUM_CORES = "NEURON_RT_NUM_CORES"
"""How many cores the runtime takes; all that it sees, unless it is set.

Source: AWS Neuron documentation, Neuron Runtime configuration.
"""

VISIBLE_CORES = "NEURON_RT_VISIBLE_CORES"
"""Which cores the runtime takes, whatever NEURON_RT_NUM_CORES says (same source)."""

CORE = 0
"""This process's core, counted among those that the runtime took."""

WAIT_SECONDS_MAX = 60.0
"""How long to wait for a core: a container that was stopped may still be letting go of its own."""

WAIT_STEP_SECONDS_MAX = 10.0

NO_CORE = ("NeuronCore(s) not available", "Neuron Runtime could not be initialized")
"""What the plugin raises where no core is free; as a rule the second, while the first is logged.

Sources: AWS Neuron documentation, Neuron Runtime troubleshooting, "Neuron Core is in use";
github.com/huggingface/optimum-neuron/issues/377.
"""


DEVICE_NODES = "neuron[0-9]*"
"""What the driver's device files in /dev are called, one for each chip."""


def version_of(package: str) -> str | None:
    """The installed version of a package."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def import_plugin(verb: str) -> ModuleType:
    """Import torch-neuronx, which registers what saved graphs are made of with PyTorch.

    Raises NeuronMissingError, saying that without it nothing `verb` on a NeuronCore, and
    CoreCountError where the environment would take another number of cores than one.
    """
    _ask_for_one_core()
    if version_of(PLUGIN) is None:
        raise NeuronMissingError(package=PLUGIN, verb=verb)
    return import_module("torch_neuronx")


def _ask_for_one_core() -> None:
    """The runtime reads its environment once, when the plugin starts it."""
    visible = os.environ.get(VISIBLE_CORES)
    if visible is not None and not visible.isdecimal():
        raise CoreCountError(variable=VISIBLE_CORES, value=visible, wanted="0")
    count = os.environ.setdefault(NUM_CORES, "1")
    if count != "1":
        raise CoreCountError(variable=NUM_CORES, value=count, wanted="1")


def check_device_nodes(directory: Path = Path("/dev")) -> None:
    """Raises DeviceForbiddenError where there are chips, and this process's user may open none.

    The runtime would say that it cannot be initialised, as it does where no core is free. Where no
    chip is to be seen, it has the last word.

    The driver leaves the mode to udev; its notes recommend 0666. UNVERIFIED on the Neuron AMIs:
    AWS's security advice is 0660 with a group of its own.
    Sources: github.com/aws-neuron/aws-neuron-driver; AWS Neuron documentation, Neuron Security
    Disclosures.
    """
    nodes = sorted(directory.glob(DEVICE_NODES))
    if any(os.access(node, os.R_OK | os.W_OK, effective_ids=True) for node in nodes):
        return
    for node in nodes:
        about = node.stat()
        raise DeviceForbiddenError(
            node=node,
            user=os.geteuid(),
            mode=f"{about.st_mode & 0o777:04o}",
            owner=about.st_uid,
            group=about.st_gid,
        )


@dataclass(frozen=True, slots=True)
class Core:
    """Where compiled graphs run."""

    plugin: ModuleType
    sleep: Callable[[float], None] = time.sleep

    def load(self, file: Path) -> torch.jit.ScriptModule:
        """Load a graph and move its weights and state to the core.

        `torch.jit.load` alone moves only the program. Waits while no core is free; raises
        NoCoreError when none was for WAIT_SECONDS_MAX. That the runtime can be started again in a
        process where it could not start is not documented; where it cannot, the error is the same.
        """
        retrying = Retrying(
            retry=retry_if_exception(_says_no_core),
            stop=_waited_long_enough,
            wait=wait_exponential(max=WAIT_STEP_SECONDS_MAX),
            sleep=self.sleep,
            before_sleep=_log_wait,
            retry_error_callback=_give_up,
        )
        return retrying(self._load, file)

    def _load(self, file: Path) -> torch.jit.ScriptModule:
        graph: torch.jit.ScriptModule = torch.jit.load(str(file))  # type: ignore[no-untyped-call]
        self.plugin.move_trace_to_device(graph, CORE)
        return graph


def _says_no_core(error: BaseException) -> bool:
    return isinstance(error, RuntimeError) and any(said in str(error) for said in NO_CORE)


def _waited_long_enough(state: RetryCallState) -> bool:
    return state.idle_for >= WAIT_SECONDS_MAX


def _log_wait(state: RetryCallState) -> None:
    log.warning("waiting_for_core", attempt=state.attempt_number, next_seconds=state.upcoming_sleep)


def _give_up(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    cause = str(error).strip().partition("\n")[0]
    raise NoCoreError(seconds=state.idle_for, cause=cause) from error
