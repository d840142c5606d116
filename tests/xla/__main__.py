"""Check that Whisper's graphs lower to what neuronx-cc takes, and compute what PyTorch computes.

torch-neuronx reaches its compiler through torch_xla, which is on PyPI and runs anywhere: all but
the compiler itself is tried here. Needs its own environment: `make xla-check`.
"""

import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch_xla
from rich.console import Console
from rich.live import Live
from rich.table import Column, Table

from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.weights import PACKAGED_MODEL, load_checkpoint
from tests.xla.cases import LARGE_V3, TURBO, cases
from tests.xla.execution import Heard, Machine, Modules, Programs, listen
from tests.xla.lowering import PATHS, lower

DTYPES = ("bfloat16", "float32")

EXPORTED_LAYERS_MAX = 8
"""Exporting takes a second per layer and graph, and large-v3's layers are all alike; the first
eight have one of its alignment heads."""

GREEDY_STEPS = {"lazy": 20, "export": 2}
"""How many tokens each row chooses. torch_xla compiles a StableHLO program anew for every run."""

TOLERANCES = {"float32": 1e-3, "bfloat16": 1e-1}
"""How far numbers may be from eager PyTorch's, as the norm of the difference to their own.

Measured: 1.3e-4 and 5.2e-2. Eager PyTorch's own bfloat16 is 3.6e-2 from its float32 after the
prompt, so two ways of rounding to bfloat16 are about that far from each other.
"""

CONSOLE_COLUMNS = 120
"""A line of the table fits, whatever the terminal says or if there is none."""

COLUMNS = (
    "graph",
    "model",
    "type",
    "layers",
    "path",
    "operators",
    "aliases",
    "difference",
    "relative",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table, and what is wrong with what it is about."""

    cells: tuple[str, ...]
    problems: tuple[str, ...]

    def failures(self) -> Iterator[str]:
        """A sentence for each problem."""
        graph, model, dtype, _, path, *_ = self.cells
        for problem in self.problems:
            yield f"{graph} of {model} in {dtype}, {path}: {problem}."


def lowered(checkpoint: Checkpoint, path: str) -> Iterator[Row]:
    """Lower all graphs of a model on one path."""
    for dtype in DTYPES:
        for case in cases(checkpoint, dtype):
            found = lower(case.graph, path)
            aliases = f"{found.aliases}/{len(case.graph.aliases)}"
            about = (case.title, case.model, case.dtype, str(case.layers), path)
            yield Row((*about, str(found.operators), aliases, "", ""), found.problems)


def executed(checkpoint: Checkpoint) -> Iterator[Row]:
    """Run tiny.en, and compare with eager PyTorch."""
    for dtype in DTYPES:
        eager = Modules(checkpoint, dtype, torch.device("cpu"))
        machines: dict[str, Machine] = {"lazy": Modules(checkpoint, dtype, torch_xla.device())}
        if dtype == "float32":  # The program's weights go through NumPy, which has no bfloat16.
            machines["export"] = Programs(checkpoint)
        for path, machine in machines.items():
            expected = listen(eager, checkpoint, dtype, GREEDY_STEPS[path])
            heard = listen(machine, checkpoint, dtype, GREEDY_STEPS[path])
            yield from compared(checkpoint, dtype, path, heard, expected)


def compared(
    checkpoint: Checkpoint, dtype: str, path: str, heard: Heard, expected: Heard
) -> Iterator[Row]:
    """One line for each graph."""
    for graph, numbers in heard.numbers.items():
        pairs = [
            (ours.float(), theirs.float())
            for ours, theirs in zip(numbers, expected.numbers[graph], strict=True)
        ]
        largest = max((ours - theirs).abs().max().item() for ours, theirs in pairs)
        relative = max(((ours - theirs).norm() / theirs.norm()).item() for ours, theirs in pairs)
        problems = []
        if not relative <= TOLERANCES[dtype]:
            problems.append(f"{relative:.1e} from eager PyTorch, over {TOLERANCES[dtype]:.0e}")
        aliases = ""
        if "×" in graph:
            if not torch.equal(heard.tokens, expected.tokens):
                problems.append("chooses other tokens than eager PyTorch")
            if path == "lazy":
                aliases = f"{heard.states}/{expected.states}"
                if heard.states != expected.states:
                    problems.append(f"only {aliases} states stay where they are in memory")
        about = (graph, checkpoint.name, dtype, str(checkpoint.config.decoder_layers), path)
        measured = ("", aliases, f"{largest:.1e}", f"{relative:.1e}")
        yield Row((*about, *measured), tuple(problems))


def rows(tiny: Checkpoint) -> Iterator[Row]:
    """All lines of the table; the first failure among tiny.en's graphs spares the large ones."""
    small = [row for path in PATHS for row in lowered(tiny, path)]
    yield from small
    if any(row.problems for row in small):
        return
    for model in (TURBO, LARGE_V3):
        yield from lowered(model.checkpoint(tiny.tokenizer), "lazy")
    for model in (TURBO, LARGE_V3.of_layers(EXPORTED_LAYERS_MAX)):
        yield from lowered(model.checkpoint(tiny.tokenizer), "export")
    yield from executed(tiny)


def main() -> int:
    """Print the table, then a sentence for each failure; returns how the process should exit."""
    began = time.monotonic()
    console = Console(width=CONSOLE_COLUMNS, highlight=False)
    table = Table(*(Column(name, no_wrap=True) for name in COLUMNS), box=None)
    failures: list[str] = []
    with torch.no_grad(), Live(table, console=console, auto_refresh=False) as live:
        for row in rows(load_checkpoint(PACKAGED_MODEL)):
            table.add_row(*row.cells, style="red" if row.problems else None)
            live.refresh()
            failures += row.failures()
    seconds = time.monotonic() - began
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    versions = f"torch {torch.__version__}, torch_xla {torch_xla.__version__}"
    console.print(f"\n{versions}: {seconds:.0f} s, {mib:,.0f} MiB at most")
    for failure in failures:
        console.print(failure, style="red", markup=False)
    return 1 if failures else 0


sys.exit(main())
