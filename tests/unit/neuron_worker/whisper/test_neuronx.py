"""The stand-in refuses what torch-neuronx refuses, so that the tests that use it mean something."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests import neuron_chip, neuronx

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")

ARGS = ["--target", "inf2"]


@pytest.fixture(autouse=True)
def chip(tmp_path: Path) -> Iterator[None]:
    with neuron_chip.installed(tmp_path / "neuron"):
        os.environ["NEURON_RT_NUM_CORES"] = "1"
        yield


class Sum(nn.Module):
    """Adds to a state of two numbers; a buffer and another parameter are there, too."""

    buffer: Tensor

    def __init__(self, *, in_place: bool = False) -> None:
        super().__init__()
        self.state = nn.Parameter(torch.zeros(2), requires_grad=False)
        self.factor = nn.Parameter(torch.full((2,), 2.0), requires_grad=False)
        self.register_buffer("buffer", torch.zeros(2))
        self.in_place = in_place

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        new = self.state.add_(x) if self.in_place else self.state + x
        return new * self.factor, new, x.to(torch.int32), torch.cat([x, x])


def traced(module: nn.Module, aliases: dict[Tensor, int], **more: Any) -> torch.jit.ScriptModule:
    return neuronx.trace(
        module,
        torch.zeros(2),
        input_output_aliases=aliases,
        compiler_args=ARGS,
        cpu_backend=True,
        **more,
    )


def test_a_state_outlives_the_call_and_its_output_stays_on_the_device(tmp_path: Path) -> None:
    module = Sum()
    torch.jit.save(traced(module, {module.state: 1}), tmp_path / "sum.pt")
    neuronx.start()
    loaded = torch.jit.load(tmp_path / "sum.pt")
    assert len(loaded(torch.ones(2))) == 3
    assert loaded(torch.ones(2))[0].tolist() == [4, 4]
    [state] = loaded.states.parameters()
    state.copy_(torch.full((2,), 10.0))
    assert loaded(torch.ones(2))[0].tolist() == [22, 22]
    assert module.state.tolist() == [0, 0]


def test_moving_to_the_device_puts_other_tensors_in_the_states_place() -> None:
    module = Sum()
    moved = traced(module, {module.state: 1})
    [before] = moved.states.parameters()
    neuronx.move_trace_to_device(moved, 0)
    before.copy_(torch.full((2,), 10.0))
    assert moved(torch.ones(2))[0].tolist() == [2, 2]


def test_weights_beside_the_program_must_be_moved() -> None:
    module = Sum()
    separate = traced(module, {module.state: 1}, inline_weights_to_neff=False)
    with pytest.raises(torch.jit.Error, match="the weights would move"):
        separate(torch.zeros(2))
    neuronx.move_trace_to_device(separate, 0)
    assert separate(torch.ones(2))[0].tolist() == [2, 2]
    with pytest.raises(ValueError, match="core 0 alone"):
        neuronx.move_trace_to_device(separate, 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [(torch.zeros(3), "shape"), (torch.zeros(2, dtype=torch.bfloat16), "type")],
)
def test_shapes_and_types_are_fixed(given: Tensor, told: str) -> None:
    with pytest.raises(torch.jit.Error, match=f"the {told} of an input"):
        traced(Sum(), {})(given)


@pytest.mark.parametrize("index", [4, -1])
def test_an_alias_needs_an_output(index: int) -> None:
    module = Sum()
    with pytest.raises(IndexError, match="no output"):
        traced(module, {module.state: index})


@pytest.mark.parametrize("index", [2, 3])
def test_an_alias_needs_an_output_of_its_shape_and_type(index: int) -> None:
    module = Sum()
    with pytest.raises(ValueError, match="not the shape and type"):
        traced(module, {module.state: index})


def test_an_alias_needs_a_parameter() -> None:
    module = Sum()
    for other in (torch.zeros(2), module.buffer, module.state.clone()):
        with pytest.raises(KeyError, match="no parameter"):
            traced(module, {other: 1})
    with pytest.raises(TypeError, match="need a module"):
        neuronx.trace(lambda x: x, torch.zeros(2), input_output_aliases={module.state: 0})


def test_aliases_are_in_the_order_of_the_parameters_and_have_an_output_each() -> None:
    module = Sum()
    with pytest.raises(ValueError, match="another order"):
        traced(module, {module.factor: 0, module.state: 1})
    with pytest.raises(ValueError, match="the same output"):
        traced(module, {module.state: 1, module.factor: 1})


def test_a_state_is_not_written_to_in_place() -> None:
    module = Sum(in_place=True)
    with pytest.raises(KeyError, match="written to in place"):
        traced(module, {module.state: 1})


def test_all_but_two_arguments_are_keywords() -> None:
    with pytest.raises(TypeError, match="use keywords"):
        neuronx.trace(Sum(), torch.zeros(2), {})


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ((torch.zeros(2), 3), "no tensor but int"),
        (torch.zeros(2, dtype=torch.int64), r"torch.int64, which a NeuronCore narrows"),
        (torch.zeros(2, dtype=torch.float64), r"torch.float64, which a NeuronCore narrows"),
    ],
)
def test_inputs_are_tensors_of_at_most_32_bits(inputs: Any, told: str) -> None:
    with pytest.raises(TypeError, match=told):
        neuronx.trace(Sum(), inputs)


def test_one_tensor_is_not_two_inputs() -> None:
    same = torch.zeros(2)
    with pytest.raises(ValueError, match="one tensor"):
        neuronx.trace(torch.add, (same, same))


def test_the_cpu_needs_to_know_the_target() -> None:
    with pytest.raises(ValueError, match="needs --target"):
        neuronx.trace(Sum(), torch.zeros(2), cpu_backend=True)
    with pytest.raises(RuntimeError, match="unrecognized arguments: --target inf1"):
        neuronx.trace(Sum(), torch.zeros(2), compiler_args="--target inf1", cpu_backend=True)


def test_a_core_belongs_to_one_process(capfd: pytest.CaptureFixture[str]) -> None:
    first, second, third = (neuron_chip.Driver() for _ in range(3))
    first.initialize()
    second.initialize()
    with pytest.raises(RuntimeError, match="could not be initialized"):
        third.initialize()
    assert "NeuronCore(s) not available - Requested:1 Available:0" in capfd.readouterr().err
    first.release()
    third.initialize()
    second.release()
    third.release()


def test_without_a_number_a_process_takes_the_whole_chip() -> None:
    greedy, other = neuron_chip.Driver(), neuron_chip.Driver()
    del os.environ["NEURON_RT_NUM_CORES"]
    greedy.initialize()
    os.environ["NEURON_RT_NUM_CORES"] = "1"
    with pytest.raises(RuntimeError, match="could not be initialized"):
        other.initialize()
    greedy.release()


def test_tracing_without_the_cpu_alone_takes_a_core() -> None:
    others = neuron_chip.Driver(), neuron_chip.Driver()
    for other in others:
        other.initialize()
    with pytest.raises(RuntimeError, match="could not be initialized"):
        neuronx.trace(Sum(), torch.zeros(2))
    neuronx.trace(Sum(), torch.zeros(2), compiler_args=ARGS, cpu_backend=True)
    for other in others:
        other.release()
