"""The Neuron runtime: the same graphs, compiled for one NeuronCore of an Inferentia2 chip."""

import shutil
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from neuron_worker.whisper.alignment import static_tokens
from neuron_worker.whisper.artifacts import ArtifactKey, publish, require
from neuron_worker.whisper.checkpoint import Checkpoint, Description, ModelConfig
from neuron_worker.whisper.core import (
    COMPILER,
    PLUGIN,
    Core,
    check_device_nodes,
    import_plugin,
    version_of,
)
from neuron_worker.whisper.cpu import CpuRuntime
from neuron_worker.whisper.errors import CompilationError, NeuronMissingError, NoWordTimesError
from neuron_worker.whisper.probe import PROBE, Probe
from neuron_worker.whisper.runtime import Feed, Shapes
from neuron_worker.whisper.traced import (
    ALIGNMENT,
    ENCODER,
    STATES_PER_LAYER,
    STEP,
    TracedGraph,
    graphs_of,
)

COMPILER_ARGS = (
    *("--target", "inf2"),
    *("--model-type", "transformer"),
    *("--auto-cast", "none"),
    *("--optlevel", "2"),
)
"""neuronx-cc's options. Weights are bfloat16 where speed counts: casting is for float32 operations,
of which the softmax and the layer norms are to stay what they are.

Source: AWS Neuron documentation, Neuron Compiler CLI Reference Guide.
"""


class NeuronModel:
    """A compiled model on this process's NeuronCore.

    All rows take part in every step, and T tokens of each. Rows that are not fed write to the
    places beyond the context, so that what they remember stays.

    What the encoder hears comes to the host, where it is kept, for all rows, and goes to the core
    as whole tensors: the documented way to set a state (`state.copy_`, AWS's T5 tutorial). For 8
    rows that is 1.97 GB for large-v3 and 0.25 GB for large-v3-turbo, whichever row is new. Whether
    `state[row].copy_` moves one row alone is not documented and was tried on no device yet.
    """

    def __init__(
        self, folder: Path, key: ArtifactKey, config: ModelConfig, shapes: Shapes, core: Core
    ) -> None:
        self.config = config
        self.batch_size = shapes.batch_size
        self._folder = folder
        self._key = key
        self._step_tokens = shapes.step_tokens
        self._dtype: torch.dtype = getattr(torch, shapes.dtype)
        self._encoder = core.load(graph_file(folder, ENCODER))
        self._step = core.load(graph_file(folder, STEP))
        alignment = graph_file(folder, ALIGNMENT)
        self._alignment = core.load(alignment) if alignment.is_file() else None
        self._heard = [torch.zeros(kv.shape, dtype=self._dtype) for kv in self._cross_states()]

    @property
    def hears_together(self) -> int:
        """Half of the rows: each time any hears, the K/V of all of them go to the core.

        With 16 steps from one finished row to the next of 8, a copy at 10 GB/s (an assumption) and
        steps at the memory's speed, a window of large-v3 costs 0.35 s of decoding when each row is
        filled at once, 0.24 s when 3 or 4 wait for each other, 0.30 s when all 8 do; of turbo 48,
        35 and 42 ms.
        """
        return max(1, self.batch_size // 2)

    @property
    def tells_word_times(self) -> bool:
        """Whether it was compiled with the graph that `align` runs."""
        return self._alignment is not None

    @torch.no_grad()
    def hear(self, rows: Sequence[int], mels: Tensor) -> None:
        """See `CompiledModel.hear`. One window at a time through the encoder, then one copy."""
        for row, mel in zip(rows, mels.to(self._dtype), strict=True):
            for heard, kv in zip(self._heard, self._encoder(mel.unsqueeze(0)), strict=True):
                heard[row] = kv[0]
        for state, heard in zip(self._cross_states(), self._heard, strict=True):
            state.copy_(heard)

    @torch.no_grad()
    def step(self, feeds: Sequence[Feed]) -> Tensor:
        """See `CompiledModel.step`. What is longer than T takes several passes."""
        logits = torch.empty(len(feeds), self.config.vocab_size)
        for first in range(0, max(len(feed.tokens) for feed in feeds), self._step_tokens):
            parts = [feed.tokens[first : first + self._step_tokens] for feed in feeds]
            after = self._pass(
                [
                    Feed(feed.row, feed.position + first, part)
                    for feed, part in zip(feeds, parts, strict=True)
                    if part
                ]
            )
            for index, (feed, part) in enumerate(zip(feeds, parts, strict=True)):
                if part:
                    logits[index] = after[feed.row]
        return logits

    def _pass(self, feeds: Sequence[Feed]) -> Tensor:
        """One run of the step's graph; returns the logits of all rows, [B, vocabulary]."""
        tokens = torch.zeros(self.batch_size, self._step_tokens, dtype=torch.int32)
        positions = torch.full((self.batch_size,), self.config.max_target_positions).int()
        last = torch.zeros(self.batch_size, dtype=torch.int32)
        for feed in feeds:
            tokens[feed.row, : len(feed.tokens)] = torch.tensor(feed.tokens, dtype=torch.int32)
            positions[feed.row] = feed.position
            last[feed.row] = len(feed.tokens) - 1
        outputs: Tensor | Sequence[Tensor] = self._step(tokens, positions, last)
        # Whether a single output comes within a tuple is not documented.
        return outputs if isinstance(outputs, Tensor) else outputs[0]

    @torch.no_grad()
    def align(self, row: int, tokens: Sequence[int]) -> tuple[Tensor, Tensor]:
        """See `CompiledModel.align`. Raises NoWordTimesError where it was compiled without."""
        if self._alignment is None:
            command = self._key.export_command(self._folder.parent)
            raise NoWordTimesError(directory=self._folder, command=command)
        fed = torch.zeros(1, static_tokens(self.config), dtype=torch.int32)
        fed[0, : len(tokens)] = torch.tensor(tokens, dtype=torch.int32)
        weights, log_probabilities = self._alignment(
            fed, *(kv[row : row + 1] for kv in self._heard)
        )
        return weights[0, :, : len(tokens)], log_probabilities[0, : len(tokens)]

    def save(self, directory: Path) -> Path:
        """See `CompiledModel.save`."""
        return publish(
            directory / self._folder.name,
            lambda draft: shutil.copytree(self._folder, draft, dirs_exist_ok=True),
        )

    def _cross_states(self) -> list[Tensor]:
        """The core's cross-attention K/V, in the encoder's order.

        Looked up each time: moving a graph to the core puts other tensors in their place.
        """
        named = dict(self._step.states.named_parameters())
        states = [named[str(index)] for index in range(len(named))]
        return [state for index, state in enumerate(states) if index % STATES_PER_LAYER >= 2]


class NeuronRuntime:
    """Compiles models anywhere, and runs them where there is a NeuronCore."""

    def __init__(self, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._sleep = sleep

    def export(
        self,
        checkpoint: Checkpoint,
        shapes: Shapes,
        directory: Path,
        *,
        words: bool = True,
        began: Callable[[str], None] = lambda _: None,
    ) -> Path:
        """Compile a checkpoint into its folder below `directory`, which needs no NeuronCore.

        Without `words` the alignment graph is left out. `began` is told each graph's name before
        it is compiled. Raises NeuronMissingError, CompilationError or UnwritableArtifactError, and
        leaves nothing then.
        """
        plugin = import_plugin("can be compiled to run")
        if version_of(COMPILER) is None:
            raise NeuronMissingError(package=COMPILER, verb="can be compiled to run")
        key = _key(checkpoint.name, shapes, checkpoint.revision)

        def write(folder: Path) -> None:
            checkpoint.save(folder)
            key.describe(folder, checkpoint.config)
            for graph in graphs_of(checkpoint, shapes, words=words):
                began(graph.name)
                traced = _compiled(plugin, graph, checkpoint.name)
                # Given a name, PyTorch ends the process where the disk is full.
                with graph_file(folder, graph.name).open("wb") as file:
                    torch.jit.save(traced, file)
            began(PROBE)
            trusted = CpuRuntime(torch.get_num_threads())
            Probe.of(trusted.compile(checkpoint, replace(shapes, batch_size=1))).save(folder)

        return publish(key.folder(directory), write)

    def compile(self, checkpoint: Checkpoint, shapes: Shapes) -> NeuronModel:
        """See `Runtime.compile`. The compiled graphs stay on disk as long as the model lives."""
        scratch = Path(tempfile.mkdtemp(prefix="compiled-"))
        try:
            self.export(checkpoint, shapes, scratch)
            _, model = self.load(scratch, checkpoint.name, shapes)
        except BaseException:
            shutil.rmtree(scratch)
            raise
        weakref.finalize(model, shutil.rmtree, scratch)
        return model

    def describe(self, directory: Path, model: str, shapes: Shapes) -> Description:
        """See `Runtime.describe`. Also raises NeuronMissingError and CoreCountError."""
        import_plugin("runs")
        folder, _ = _key(model, shapes).find(directory)
        require(folder, graph_file(folder, ENCODER).name, graph_file(folder, STEP).name, PROBE)
        return Description.load(folder)

    def load(self, directory: Path, model: str, shapes: Shapes) -> tuple[Description, NeuronModel]:
        """See `Runtime.load`.

        Also raises NoCoreError, DeviceForbiddenError, NeuronMissingError, CoreCountError, and
        WrongNumbersError where the device does not compute what the CPU did when the model was
        compiled.
        """
        check_device_nodes()
        description = self.describe(directory, model, shapes)
        key = _key(model, shapes)
        folder, _ = key.find(directory)
        core = Core(import_plugin("runs"), self._sleep)
        loaded = NeuronModel(folder, key, description.config, shapes, core)
        Probe.load(folder).ask(loaded, folder)
        return description, loaded


def graph_file(folder: Path, name: str) -> Path:
    """The file of a graph in an artifact's folder."""
    return folder / f"{name}.pt"


def _key(model: str, shapes: Shapes, revision: str | None = None) -> ArtifactKey:
    compiler = version_of(COMPILER)
    torch_version = torch.__version__.partition("+")[0]
    return ArtifactKey(
        runtime="neuron",
        model=model,
        revision=revision,
        batch_size=shapes.batch_size,
        dtype=shapes.dtype,
        step_tokens=shapes.step_tokens,
        compiler=f"{COMPILER} {compiler}" if compiler else None,
        libraries=f"torch {torch_version}, {PLUGIN} {version_of(PLUGIN)}",
        flags=" ".join(COMPILER_ARGS),
    )


def _compiled(plugin: ModuleType, graph: TracedGraph, model: str) -> torch.jit.ScriptModule:
    """Trace and compile a graph, on the CPU alone. What the compiler worked on stays if it fails.

    Weights stand beside the program: inlined, they have given wrong results
    (github.com/huggingface/optimum-neuron/issues/817).
    """
    workdir = tempfile.mkdtemp(prefix=f"neuronx-cc-{graph.name}-")
    try:
        with torch.no_grad():
            traced: torch.jit.ScriptModule = plugin.trace(
                graph.module,
                graph.inputs,
                input_output_aliases=graph.aliases,
                compiler_workdir=workdir,
                compiler_args=list(COMPILER_ARGS),
                inline_weights_to_neff=False,
                cpu_backend=True,
            )
    except Exception as error:
        raise CompilationError(
            graph=graph.name, model=model, cause=error, workdir=workdir
        ) from error
    shutil.rmtree(workdir)
    return traced
