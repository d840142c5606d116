"""Lower a graph in two ways: as torch_neuronx.trace does, and by way of torch.export."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch_xla
import torch_xla.core.xla_builder as xb
import torch_xla.core.xla_model as xm
from torch import Tensor
from torch_xla.debug import metrics
from torch_xla.stablehlo import XLAExportInterpreter, _run_decompositions

from neuron_worker.whisper.traced import TracedGraph
from tests.xla.hlo import Hlo
from tests.xla.rules import broken_aliases, broken_parameters, broken_rules, broken_text


@dataclass(frozen=True, slots=True)
class Lowered:
    """What became of one graph on one path: how large it is, and what is wrong with it."""

    path: str
    operators: int = 0
    aliases: int = 0
    problems: tuple[str, ...] = ()


def lower(graph: TracedGraph, path: str) -> Lowered:
    """Lower a graph by one of PATHS; it stays as it is.

    On the meta device it must be one that is known to lower: torch_xla ends the process when it
    wants a value where there is none. Whatever is raised is a problem of the graph.
    """
    metrics.clear_counters()
    # Numbers are to be constants of the graph, not parameters.
    torch_xla._XLAC._set_xla_all_numbers_special_scalars(True)
    try:
        with torch.no_grad():
            return PATHS[path](graph)
    except Exception as error:
        said = str(error).strip().partition("\n")[0]
        return Lowered(path, problems=(f"cannot be lowered: {type(error).__name__}: {said}",))


def _lower_lazily(graph: TracedGraph) -> Lowered:
    """Run the graph on torch_xla's lazy tensors, and look at what these recorded.

    Nothing is computed.
    """
    own = _named_tensors(graph.module)
    place = _Device()
    placed = {name: place(tensor) for name, tensor in own.items()}
    inputs = tuple(map(place, graph.inputs))
    outputs = torch.func.functional_call(graph.module, placed, inputs)
    known = placed | {f"input {index}": tensor for index, tensor in enumerate(inputs)}
    return _examined("lazy", graph, outputs, known)


def _lower_exported(graph: TracedGraph) -> Lowered:
    """Export the graph, and lower the program that torch.export made of it.

    As `torch_xla.stablehlo.exported_program_to_stablehlo` does, but that brings weights along.
    """
    program = _run_decompositions(torch.export.export(graph.module, graph.inputs))
    nodes = [node for node in program.graph.nodes if node.op == "placeholder"]
    place = _Device()
    given = program._graph_module_flat_inputs(graph.inputs, {})
    arguments = [place(tensor) for tensor in given]
    names = [
        specification.target or node.name
        for specification, node in zip(program.graph_signature.input_specs, nodes, strict=True)
    ]
    interpreter = XLAExportInterpreter(program.graph_module, torch_xla.device(), set(), None)
    outputs = interpreter.run(*arguments, enable_io_processing=False)
    known = dict(zip(names, arguments, strict=True))
    in_place = program.graph_signature.buffers_to_mutate.values()
    return _examined(
        "export",
        graph,
        outputs,
        known,
        [
            *(f"updates {name} in place, where no output tells of it" for name in in_place),
            *broken_text(xm.get_stablehlo(list(outputs))),
        ],
    )


PATHS: Mapping[str, Callable[[TracedGraph], Lowered]] = {
    "lazy": _lower_lazily,
    "export": _lower_exported,
}
"""`lazy` is the way that torch_neuronx goes."""


def _examined(
    path: str,
    graph: TracedGraph,
    outputs: Tensor | Sequence[Tensor],
    known: Mapping[str, Tensor],
    problems: Sequence[str] = (),
) -> Lowered:
    context = torch_xla._XLAC.lowering.LoweringContext(graph.name)
    context.build([outputs] if isinstance(outputs, Tensor) else list(outputs))
    hlo = Hlo.parse(context.hlo_json())
    numbers = {name: context.tensor_parameter_id(tensor) for name, tensor in known.items()}
    aliased = {id(tensor): output for tensor, output in graph.aliases.items()}
    aliases = [
        (name, numbers[name], aliased[id(tensor)])
        for name, tensor in _named_tensors(graph.module).items()
        if id(tensor) in aliased
    ]
    unaliased = list(broken_aliases(hlo, aliases))
    on_host = torch_xla._XLAC._get_executed_fallback_ops()
    found = [
        *broken_rules(hlo),
        *broken_parameters(hlo, {number: name for name, number in numbers.items()}),
        *unaliased,
        *(f"runs {name} on the host" for name in on_host),
        *problems,
    ]
    return Lowered(
        path=path,
        operators=len(hlo.instructions),
        aliases=len(aliases) - len(unaliased),
        problems=tuple(dict.fromkeys(found)),
    )


def _named_tensors(module: torch.nn.Module) -> dict[str, Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


class _Device:
    """Puts each tensor on XLA's device once; a placeholder for one without memory."""

    def __init__(self) -> None:
        self._placed: dict[int, tuple[Tensor, Tensor]] = {}

    def __call__(self, tensor: Tensor) -> Tensor:
        if id(tensor) not in self._placed:
            self._placed[id(tensor)] = tensor, self._put(tensor)
        return self._placed[id(tensor)][1]

    def _put(self, tensor: Tensor) -> Tensor:
        if not tensor.is_meta:
            return tensor.to(torch_xla.device())
        shape = tuple(tensor.shape)
        placeholder: Tensor = xb.create_placeholder_tensor(shape, tensor.dtype)
        return placeholder
