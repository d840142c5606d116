"""A stand-in for torch-neuronx, for tests without a NeuronCore: what it documents, and no more.

Traced graphs are real TorchScript that runs on the CPU, is saved by `torch.jit.save` and loaded by
`torch.jit.load`. It is stricter than the package where a mistake would only cost speed or
precision there: 64-bit inputs and weights left on the host are refused.

Sources: AWS Neuron documentation (PyTorch NeuronX Tracing API for Inference; T5 inference tutorial;
Neuron Compiler CLI Reference Guide).
"""

import shlex
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tests.neuron_chip import driver, load_script_module

COMPILER_OPTIONS = {
    "--target": {"inf2", "trn1", "trn1n", "trn2", "trn3"},
    "--model-type": {"generic", "transformer", "unet-inference"},
    "--auto-cast": {"none", "matmult", "all"},
    "--auto-cast-type": {"bf16", "fp16", "tf32", "fp8_e4m3"},
    "--optlevel": {"1", "2", "3"},
}


def start() -> None:
    """Let `torch.jit.load` take a core for what was traced here, as the package's plugin does."""

    def load(*args: Any, **kwargs: Any) -> Any:
        module = load_script_module(*args, **kwargs)
        if hasattr(module, "neff"):
            driver.initialize()
        return module

    torch.jit.load = load


def trace(
    func: Any,
    example_inputs: Any,
    *_: Any,
    input_output_aliases: dict[Tensor, int] | None = None,
    compiler_workdir: str | None = None,
    compiler_args: str | list[str] | None = None,
    partitioner_config: Any = None,
    inline_weights_to_neff: bool = True,
    cpu_backend: bool = False,
) -> torch.jit.ScriptModule:
    """See the documentation of torch_neuronx.trace."""
    if _:
        raise TypeError("use keywords for all arguments after `func` and `example_inputs`")
    _check_compiler_args(compiler_args, cpu_backend)
    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    _check_inputs(inputs)
    aliases = input_output_aliases or {}
    names = _names(func, aliases)
    if not cpu_backend:
        driver.initialize()
    if compiler_workdir is not None:
        (Path(compiler_workdir) / "command.txt").write_text(str(compiler_args))
    states = [aliased.detach().clone() for aliased in aliases]
    graph, outputs = _graph(func, inputs, names, states)
    _check_aliases(aliases, outputs)
    module = NeuronModule(graph, inputs, states, list(aliases.values()))
    traced: torch.jit.ScriptModule = torch.jit.trace(module, inputs, check_trace=False)
    for state, initial in zip(traced.states.parameters(), states, strict=True):
        state.copy_(initial)
    traced.neff.fill_(not inline_weights_to_neff)
    return traced


def move_trace_to_device(trace: torch.jit.ScriptModule, device_id: int) -> None:
    """Put a graph's weights and states on a core: other tensors take the states' places."""
    driver.initialize()
    if device_id != 0:
        raise ValueError(f"invalid NeuronCore {device_id}: this process has core 0 alone")
    for name, state in trace.states._parameters.items():
        trace.states._parameters[name] = state.clone()
    trace.neff.zero_()


class NeuronModule(nn.Module):
    """A graph and its states, as a device runs them."""

    def __init__(
        self,
        graph: torch.jit.ScriptModule,
        inputs: Sequence[Tensor],
        states: Sequence[Tensor],
        aliased: list[int],
    ) -> None:
        super().__init__()
        self.graph = graph
        self.states = nn.ParameterList(nn.Parameter(s.clone(), requires_grad=False) for s in states)
        self.register_buffer("neff", torch.tensor(0))
        self.expected = [(list(tensor.shape), tensor.dtype) for tensor in inputs]
        self.aliased = aliased

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What is not aliased; each state becomes the output that it is aliased to."""
        checked = [
            _checked(given, shape, dtype, self.neff)
            for given, (shape, dtype) in zip(inputs, self.expected, strict=True)
        ]
        outputs = self.graph(*checked, *self.states)
        for state, index in zip(self.states, self.aliased, strict=True):
            state.copy_(outputs[index])
        return tuple(outputs[i] for i in range(len(outputs)) if i not in self.aliased)


def _check_and_return(
    given: Tensor, shape: list[int], dtype: torch.dtype, on_host: Tensor
) -> Tensor:
    if bool(on_host):
        raise RuntimeError("the weights would move to the device in every call")
    if list(given.shape) != shape:
        raise RuntimeError("the shape of an input is not the one it was traced with")
    if given.dtype != dtype:
        raise RuntimeError("the type of an input is not the one it was traced with")
    return given


with warnings.catch_warnings():
    # TorchScript is deprecated since PyTorch 2.10, which the package does not support.
    warnings.simplefilter("ignore", DeprecationWarning)
    _checked = torch.jit.script(_check_and_return)
"""Compiled into every graph, because a saved one must check, too."""


def _check_compiler_args(given: str | list[str] | None, cpu_backend: bool) -> None:
    args = shlex.split(given) if isinstance(given, str) else list(given or [])
    options = dict(zip(args[::2], args[1::2], strict=True))
    if cpu_backend and "--target" not in options:
        raise ValueError("cpu_backend needs --target in compiler_args")
    for option, value in options.items():
        if value not in COMPILER_OPTIONS.get(option, ()):
            raise RuntimeError(f"neuronx-cc: unrecognized arguments: {option} {value}")


def _check_inputs(inputs: tuple[Any, ...]) -> None:
    for given in inputs:
        if not isinstance(given, Tensor):
            raise TypeError(f"an input is no tensor but {type(given).__name__}")
        if given.dtype in (torch.int64, torch.float64):
            raise TypeError(f"an input is {given.dtype}, which a NeuronCore narrows")
    if len({id(given) for given in inputs}) < len(inputs):
        raise ValueError("one tensor is given as two inputs, which become one")


def _names(func: Any, aliases: dict[Tensor, int]) -> list[str]:
    """The aliased parameters' names, which must be in the order of the module's parameters.

    The package numbers them in that order, whatever the order of the aliases.
    """
    if not aliases:
        return []
    if not isinstance(func, nn.Module):
        raise TypeError("aliases need a module")
    known = {id(parameter): name for name, parameter in func.named_parameters()}
    for aliased in aliases:
        if id(aliased) not in known:
            raise KeyError("an alias stands for no parameter of the module")
    wanted = {id(aliased) for aliased in aliases}
    if [each for each in known if each in wanted] != [id(aliased) for aliased in aliases]:
        raise ValueError("the aliases are in another order than the module's parameters")
    return [known[id(aliased)] for aliased in aliases]


def _graph(
    func: Callable[..., Any], inputs: tuple[Tensor, ...], names: list[str], states: list[Tensor]
) -> tuple[torch.jit.ScriptModule, tuple[Tensor, ...]]:
    """Trace `func` with its states as inputs; returns what it gave, too."""

    seen: list[tuple[Tensor, ...]] = []

    def functional(*tensors: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip(names, tensors[len(inputs) :], strict=True))
        versions = [tensor._version for tensor in named.values()]
        with _in_place_of(func, named):
            outputs = func(*tensors[: len(inputs)])
        if versions != [tensor._version for tensor in named.values()]:
            raise KeyError("-1: a state was written to in place, and is not the parameter it was")
        seen.append(tuple(outputs) if isinstance(outputs, tuple | list) else (outputs,))
        return seen[-1]

    graph = torch.jit.trace(functional, (*inputs, *states), check_trace=False)
    return graph, seen[-1]


@contextmanager
def _in_place_of(module: Any, parameters: dict[str, Tensor]) -> Iterator[None]:
    """`torch.func.functional_call`, which refuses to be traced."""
    kept = {}
    for name, tensor in parameters.items():
        path, _, last = name.rpartition(".")
        owner = module.get_submodule(path)._parameters
        kept[name] = owner, last, owner[last]
        owner[last] = tensor
    try:
        yield
    finally:
        for owner, last, parameter in kept.values():
            owner[last] = parameter


def _check_aliases(aliases: dict[Tensor, int], outputs: Sequence[Tensor]) -> None:
    for aliased, index in aliases.items():
        if not 0 <= index < len(outputs):
            raise IndexError(f"there is no output {index} to be a state's next value")
        output = outputs[index]
        if (output.shape, output.dtype) != (aliased.shape, aliased.dtype):
            raise ValueError(f"output {index} has not the shape and type of its state")
    if len(set(aliases.values())) < len(aliases):
        raise ValueError("two states become the same output")
