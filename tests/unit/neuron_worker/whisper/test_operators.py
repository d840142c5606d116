"""What a graph is made of, before a compiler sees it: one trace, fixed shapes, known operators."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.runtime import Shapes
from neuron_worker.whisper.traced import ALIGNMENT, ENCODER, STEP, TracedGraph, graphs_of

pytestmark = [
    pytest.mark.usefixtures("without_gradients"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]

GRAPHS = (ENCODER, STEP, ALIGNMENT)

DOCUMENTED = """
    _log_softmax _log_softmax_backward_data _s_where _softmax _softmax_backward_data _unsafe_view
    add addcdiv addcmul addmm bernoulli bmm constant_pad_nd div embedding embedding_dense_backward
    empty expand fill index_select lt mm mul native_batch_norm native_batch_norm_backward neg
    permute relu rsub select slice sqrt sum t tanh tanh_backward threshold_backward transpose
    unsqueeze view zero
"""
"""The operators that AWS lists; those that write in place are named without their underscore.

Source: AWS Neuron documentation, PyTorch Neuron (torch-neuronx) - Supported Operators. The list
leaves out much of what AWS's own examples use, as layer norms and GELU; of tracing, the same
documentation says that what torch-xla does not support throws an exception.
"""

LOWERED = """
    _to_copy alias arange cat clamp clone convolution copy full gather gelu le native_layer_norm
    scatter squeeze stack where
"""
"""The operators beyond those that torch-xla 2.9 lowers to XLA's own.

Source: pytorch/xla v2.9.0, codegen/xla_native_functions.yaml, where convolution is
`convolution_overrideable`.
"""

COMPOSED = "scalar_tensor zeros zeros_like"
"""What PyTorch makes of `empty`, `zero_` and `fill_`, on any device."""

CHECKS = "_assert_tensor_metadata"
"""What an exported graph says about itself, which computes nothing."""

ALLOWED = frozenset(" ".join([DOCUMENTED, LOWERED, COMPOSED, CHECKS]).split())


@pytest.fixture
def without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def graph_of(checkpoint: Checkpoint, name: str, dtype: str) -> TracedGraph:
    """A graph whose state, if any, is full."""
    shapes = Shapes(batch_size=2, dtype=dtype, step_tokens=4)
    graphs = {graph.name: graph for graph in graphs_of(checkpoint, shapes, words=True)}
    for state in graphs[name].aliases:
        state.copy_(torch.randn(state.shape, generator=torch.Generator().manual_seed(1)))
    return graphs[name]


def other_inputs(graph: TracedGraph) -> tuple[Tensor, ...]:
    """Inputs of the same shapes that tokens, positions and lengths can have."""
    generator = torch.Generator().manual_seed(2)
    if graph.name == STEP:
        tokens = torch.randint(0, 180, (2, 4), generator=generator, dtype=torch.int32)
        return tokens, torch.tensor([0, 20]).int(), torch.tensor([3, 1]).int()
    return tuple(
        torch.randint(0, 180, given.shape, generator=generator, dtype=torch.int32)
        if given.dtype == torch.int32
        else torch.randn(given.shape, generator=generator).to(given.dtype)
        for given in graph.inputs
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_is_traced_and_exported_to_the_same_numbers(
    name: str, dtype: str, small: Checkpoint
) -> None:
    graph = graph_of(small, name, dtype)
    traced = torch.jit.trace(graph.module, graph.inputs, check_trace=False)
    exported = torch.export.export(graph.module, graph.inputs)
    inputs = other_inputs(graph)
    eager = graph.module(*inputs)
    assert not exported.range_constraints
    torch.testing.assert_close(traced(*inputs), eager)
    torch.testing.assert_close(exported.module()(*inputs), eager)


class Recorder(TorchDispatchMode):
    """Notes what reaches a device, where what is composed of others is taken apart."""

    def __init__(self) -> None:
        super().__init__()
        self.called: set[str] = set()

    def __torch_dispatch__(
        self, operator: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        self.called.add(operator.overloadpacket.__name__)
        return operator(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_has_known_operators_alone(name: str, small: Checkpoint) -> None:
    graph = graph_of(small, name, "bfloat16")
    program = torch.export.export(graph.module, graph.inputs).module()
    with Recorder() as recorder:
        program(*graph.inputs)
    # torch-xla turns writing in place into its like without.
    called = {operator.removesuffix("_") for operator in recorder.called}
    assert {"addmm", "bmm", "native_layer_norm", "_softmax"} < called
    assert called - ALLOWED == set()


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_takes_nothing_of_64_bits(name: str, small: Checkpoint) -> None:
    graph = graph_of(small, name, "bfloat16")
    assert {given.dtype for given in graph.inputs} <= {torch.int32, torch.bfloat16}
    assert {state.dtype for state in graph.aliases} <= {torch.bfloat16}


def test_the_state_comes_back_in_the_order_of_its_parameters(small: Checkpoint) -> None:
    graph = graph_of(small, STEP, "float32")
    outputs = graph.module(*other_inputs(graph))
    states = [tensor for tensor in graph.module.parameters() if tensor in set(graph.aliases)]
    assert list(map(id, states)) == list(map(id, graph.aliases))
    assert list(graph.aliases.values()) == list(range(1, len(outputs)))
    layer = [tuple(output.shape) for output in outputs[1:5]]
    assert layer == [(2, 4, 52, 16), (2, 4, 52, 16), (2, 4, 50, 16), (2, 4, 50, 16)]


@pytest.mark.parametrize("name", GRAPHS)
def test_a_graph_makes_all_its_tensors_where_its_inputs_are(name: str, small: Checkpoint) -> None:
    graph = graph_of(small, name, "bfloat16")
    inputs = tuple(given.to("meta") for given in graph.inputs)
    outputs = graph.module.to("meta")(*inputs)
    assert {output.device.type for output in outputs} == {"meta"}
