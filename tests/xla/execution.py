"""Run tiny.en's graphs on XLA's CPU, with real weights over real recordings, and without XLA.

Both must choose the same tokens, from numbers as close as their type allows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

import av
import numpy as np
import numpy.typing as npt
import torch
import torch_xla
from torch import Tensor, nn
from torch_xla.stablehlo import StableHLOGraphModule, exported_program_to_stablehlo

from neuron_worker.speech import SAMPLE_RATE
from neuron_worker.whisper.alignment import static_tokens
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.mel import WINDOW_MAX_SAMPLES, log_mel
from neuron_worker.whisper.runtime import STEP_TOKENS, Shapes
from neuron_worker.whisper.tokens import SpecialTokens
from neuron_worker.whisper.traced import (
    ALIGNMENT,
    ENCODER,
    STATES_PER_LAYER,
    STEP,
    StatefulStep,
    graphs_of,
)
from tests.xla.cases import BATCH_SIZE

RECORDINGS = tuple(
    Path(__file__).parents[1] / "recordings" / name for name in ("harbour.flac", "weather.mp3")
)
"""The rows hear the first 30 s of these in turn."""


class Machine(Protocol):
    """Something that runs the graphs of a model. All tensors given and returned are the CPU's."""

    def run(self, name: str, *inputs: Tensor) -> list[Tensor]:
        """Run a graph; what its state becomes is kept, and no part of the result."""

    def remember(self, cross_states: Sequence[Tensor]) -> None:
        """Set what all rows heard, [B, H, 1500, D] each, in the encoder's order."""

    def states_in_place(self) -> int:
        """How many states are in the memory they began in."""


@dataclass(frozen=True)
class Heard:
    """All numbers of one run, by the graph they come from, and the tokens they led to."""

    numbers: Mapping[str, list[Tensor]]
    tokens: Tensor
    states: int


class Modules:
    """The graphs' modules as they are: eager on the CPU, lazy on XLA's device."""

    def __init__(self, checkpoint: Checkpoint, dtype: str, device: torch.device) -> None:
        graphs = graphs_of(checkpoint, Shapes(BATCH_SIZE, dtype), words=True)
        self.modules = {graph.name: graph.module.to(device) for graph in graphs}
        self._device = device
        self._began = self._memory()

    @property
    def states(self) -> list[nn.Parameter]:
        """The state of the step."""
        return list(cast(StatefulStep, self.modules[STEP]).state)

    def run(self, name: str, *inputs: Tensor) -> list[Tensor]:
        """See `Machine.run`."""
        outputs = list(self.modules[name](*(tensor.to(self._device) for tensor in inputs)))
        if name == STEP:
            for state, following in zip(self.states, outputs[1:], strict=True):
                state.copy_(following)
            del outputs[1:]
        self._compute()
        return [tensor.cpu() for tensor in outputs]

    def remember(self, cross_states: Sequence[Tensor]) -> None:
        """See `Machine.remember`."""
        for state, heard in zip(_of_audio(self.states), cross_states, strict=True):
            state.copy_(heard)
        self._compute()
        self._began = self._memory()

    def states_in_place(self) -> int:
        """See `Machine.states_in_place`."""
        return sum(a == b for a, b in zip(self._began, self._memory(), strict=True))

    def _compute(self) -> None:
        """Compute what lazy tensors recorded, states too: else the next step repeats this one."""
        if self._device.type != "cpu":
            torch_xla.sync(wait=True)

    def _memory(self) -> list[int]:
        if self._device.type == "cpu":
            return [state.data_ptr() for state in self.states]
        self._compute()
        return [torch_xla._XLAC._unsafe_buffer_pointer(state) for state in self.states]


class Programs:
    """The modules exported, each a StableHLO program; the state goes in and comes out."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        modules = Modules(checkpoint, "float32", torch.device("cpu"))
        self._states = [state.clone() for state in modules.states]
        self._modules = modules.modules | {STEP: _StateGiven(modules.modules[STEP])}
        self._programs: dict[tuple[str, torch.Size], StableHLOGraphModule] = {}

    def run(self, name: str, *inputs: Tensor) -> list[Tensor]:
        """See `Machine.run`."""
        if name != STEP:
            return self._run(name, *inputs)
        logits, *self._states = self._run(name, *inputs, *self._states)
        return [logits]

    def remember(self, cross_states: Sequence[Tensor]) -> None:
        """See `Machine.remember`."""
        for state, heard in zip(_of_audio(self._states), cross_states, strict=True):
            state.copy_(heard)

    def states_in_place(self) -> int:
        """None: a program without aliases returns new tensors."""
        return 0

    def _run(self, name: str, *inputs: Tensor) -> list[Tensor]:
        key = name, inputs[0].shape
        if key not in self._programs:
            exported = torch.export.export(self._modules[name], inputs)
            self._programs[key] = exported_program_to_stablehlo(exported)
        return [tensor.cpu() for tensor in self._programs[key](*inputs)]


class _StateGiven(nn.Module):
    """A step whose state is given with its inputs, behind them."""

    def __init__(self, step: nn.Module) -> None:
        super().__init__()
        self.step = step
        self.names = [name for name, _ in step.named_parameters() if name.startswith("state.")]

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        count = len(tensors) - len(self.names)
        states = dict(zip(self.names, tensors[count:], strict=True))
        outputs: tuple[Tensor, ...] = torch.func.functional_call(self.step, states, tensors[:count])
        return outputs


def listen(machine: Machine, checkpoint: Checkpoint, dtype: str, steps: int) -> Heard:
    """Hear every recording, feed a prompt, decode greedily, align what the first row heard."""
    special = SpecialTokens.of(checkpoint.tokenizer)
    mels = [log_mel(_samples(path), checkpoint.config.num_mel_bins) for path in RECORDINGS]
    heard = [machine.run(ENCODER, mel.to(getattr(torch, dtype)).unsqueeze(0)) for mel in mels]
    machine.remember(
        [
            torch.cat([kv[row % len(kv)] for row in range(BATCH_SIZE)])
            for kv in zip(*heard, strict=True)
        ]
    )
    prompt = [special.start_of_transcript, special.no_timestamps]
    after_prompt = _step(machine, [prompt] * BATCH_SIZE, 0, STEP_TOKENS)
    logits, chosen = [after_prompt], []
    for position in range(len(prompt), len(prompt) + steps):
        chosen.append(logits[-1].argmax(dim=-1).tolist())
        logits.append(_step(machine, [[token] for token in chosen[-1]], position, 1))
    text = [*prompt, *(tokens[0] for tokens in chosen), special.end_of_text]
    fed = torch.full((1, static_tokens(checkpoint.config)), special.end_of_text)
    fed[0, : len(text)] = torch.tensor(text)
    return Heard(
        numbers={
            f"{ENCODER} [1, 80, 3000]": [kv for window in heard for kv in window],
            f"{STEP} [{BATCH_SIZE}, {STEP_TOKENS}]": [after_prompt],
            f"{STEP} [{BATCH_SIZE}, 1] × {steps}": logits[1:],
            f"{ALIGNMENT} {list(fed.shape)}": machine.run(ALIGNMENT, fed.int(), *heard[0]),
        },
        tokens=torch.tensor(chosen),
        states=machine.states_in_place(),
    )


def _step(machine: Machine, tokens: Sequence[Sequence[int]], position: int, count: int) -> Tensor:
    fed = torch.zeros(BATCH_SIZE, count, dtype=torch.int32)
    fed[:, : len(tokens[0])] = torch.tensor(tokens)
    positions = torch.full((BATCH_SIZE,), position, dtype=torch.int32)
    last = torch.full((BATCH_SIZE,), len(tokens[0]) - 1, dtype=torch.int32)
    return machine.run(STEP, fed, positions, last)[0]


def _of_audio(states: Sequence[Tensor]) -> list[Tensor]:
    return [state for index, state in enumerate(states) if index % STATES_PER_LAYER >= 2]


def _samples(path: Path) -> npt.NDArray[np.float32]:
    resampler = av.AudioResampler("flt", "mono", SAMPLE_RATE)
    with av.open(str(path)) as container:
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
    return np.concatenate([frame.to_ndarray()[0] for frame in frames])[:WINDOW_MAX_SAMPLES]
