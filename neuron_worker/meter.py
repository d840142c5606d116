"""The meter: counts what a request takes of its worker, while it takes it."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from neuron_worker.contract import Effort, Stage

BYTES_PER_RSS_UNIT = 1_024
"""Linux gives ru_maxrss in KiB (getrusage(2))."""


@dataclass(eq=False, slots=True)
class Meter:
    """What one request has taken so far. Each stage is timed by one thread alone."""

    seconds: dict[Stage, float] = field(default_factory=lambda: dict.fromkeys(Stage, 0.0))
    windows: int = 0
    tokens: int = 0
    fallbacks: int = 0

    @contextmanager
    def paused(self, stage: Stage) -> Iterator[None]:
        """Inside a stage that is timed: what passes meanwhile is waiting and does not count."""
        began = monotonic()
        try:
            yield
        finally:
            self.seconds[stage] -= monotonic() - began

    def effort(self) -> Effort:
        """All of it by now, in the contract's words."""
        return Effort(
            read_seconds=round(self.seconds[Stage.READ], 3),
            encode_seconds=round(self.seconds[Stage.ENCODE], 3),
            decode_seconds=round(self.seconds[Stage.DECODE], 3),
            align_seconds=round(self.seconds[Stage.ALIGN], 3),
            write_seconds=round(self.seconds[Stage.WRITE], 3),
            windows=self.windows,
            tokens=self.tokens,
            fallbacks=self.fallbacks,
            peak_memory_bytes=peak_memory_bytes(),
        )


@contextmanager
def timed(stage: Stage, *meters: Meter) -> Iterator[None]:
    """Time a stage for those that share it, in equal parts; a meter given twice has two of them."""
    began = monotonic()
    try:
        yield
    finally:
        seconds = monotonic() - began
        for meter in meters:
            meter.seconds[stage] += seconds / len(meters)


def peak_memory_bytes() -> int:
    """The most that this process has held resident so far, without its children.

    Linux hands the peak on from whoever started the process (fs/exec.c, `exec_mmap`); what starts
    a container is small.
    """
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES_PER_RSS_UNIT
