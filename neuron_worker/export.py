"""Compile a model into the directory that workers load it from: `python -m neuron_worker export`.

It needs neither a NeuronCore nor a worker's environment. What stands in the directory afterwards is
all that a worker needs: no checkpoint, no network.
"""

import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from neuron_worker.contract import ExitCode
from neuron_worker.settings import RuntimeName
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.cpu import CpuRuntime
from neuron_worker.whisper.errors import WhisperError
from neuron_worker.whisper.neuron import NeuronRuntime
from neuron_worker.whisper.runtime import STEP_TOKENS, Shapes
from neuron_worker.whisper.weights import load_checkpoint

BYTES_PER_MIB = 2**20


class WeightType(StrEnum):
    """Types that weights can have; `int8` on a CPU alone."""

    BFLOAT16 = "bfloat16"
    FLOAT32 = "float32"
    INT8 = "int8"


USUAL_TYPE = {RuntimeName.NEURON: WeightType.BFLOAT16, RuntimeName.CPU: WeightType.FLOAT32}


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def export(
    model: Annotated[str, typer.Option(help="tiny.en, a directory, or a model of the hub.")],
    out: Annotated[Path, typer.Option(help="Where compiled models stand, a folder each.")],
    revision: Annotated[
        str | None,
        typer.Option(help="The hub's commit or tag of the model; its newest if not given."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=64, help="Rows that decode together.")] = 8,
    dtype: Annotated[
        WeightType | None,
        typer.Option(help="The weights' type: bfloat16 for neuron, float32 for cpu if not given."),
    ] = None,
    step_tokens: Annotated[
        int, typer.Option(min=1, max=16, help="Tokens of a row in one step.")
    ] = STEP_TOKENS,
    runtime: Annotated[RuntimeName, typer.Option(help="What to compile for.")] = RuntimeName.NEURON,
    words: Annotated[bool, typer.Option(help="Whether it can tell when words are spoken.")] = True,
) -> None:
    """Compile a model for workers, and say what stands where."""
    started = time.monotonic()
    dtype = dtype or USUAL_TYPE[runtime]
    if runtime is RuntimeName.NEURON and dtype is WeightType.INT8:
        raise typer.BadParameter("a NeuronCore runs bfloat16 or float32", param_hint="--dtype")
    typer.echo(f"loading {model}")
    checkpoint = load_checkpoint(model, revision)
    shapes = Shapes(batch, dtype.value, step_tokens)
    folder = _compile(runtime, checkpoint, shapes, out, words=words)
    for file in sorted(folder.iterdir()):
        typer.echo(f"{file.stat().st_size / BYTES_PER_MIB:10.1f} MiB  {file.name}")
    typer.echo(f"{folder} holds {model}; it took {time.monotonic() - started:.0f} s")


def _compile(
    runtime: RuntimeName, checkpoint: Checkpoint, shapes: Shapes, out: Path, *, words: bool
) -> Path:
    if runtime is RuntimeName.CPU:
        return CpuRuntime().compile(checkpoint, shapes).save(out)

    def tell(graph: str) -> None:
        typer.echo(f"compiling {graph}")

    return NeuronRuntime().export(checkpoint, shapes, out, words=words, began=tell)


def main(arguments: list[str]) -> ExitCode:
    """Run the command; every failure is a sentence and an exit code."""
    try:
        app(arguments, prog_name="python -m neuron_worker export", standalone_mode=False)
    except typer.Abort:
        return _failed("interrupted", ExitCode.INTERRUPTED)
    except WhisperError as error:
        return _failed(str(error), ExitCode.MISCONFIGURED)
    except TyperException as error:
        return _failed(error.format_message(), ExitCode.MISCONFIGURED)
    return ExitCode.FINISHED


def _failed(sentence: str, code: ExitCode) -> ExitCode:
    print(f"error: {sentence}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
