"""What happened in one simulation: instances, the jobs on their cores, the fate of each request.

Plain data for `figures` and `plots`; times are in seconds since the simulation began. Invariant:
the spans of one core do not overlap, and stand in order.
"""

import math
from array import array
from dataclasses import dataclass, field

from daemon.catalogue import CORES_PER_CHIP
from daemon.embedded.batch.figures import Figures


class Spans:
    """Times from-to of one core's jobs, in order; a million take 16 MB."""

    __slots__ = ("ends", "starts")

    def __init__(self) -> None:
        self.starts = array("d")
        self.ends = array("d")

    def add(self, start_seconds: float, end_seconds: float) -> None:
        """Add one that begins no sooner than the last one ended."""
        if end_seconds > start_seconds:
            self.starts.append(start_seconds)
            self.ends.append(end_seconds)


@dataclass(frozen=True, slots=True)
class InstanceLife:
    """One instance from launch to end; `ready_at` is None where it was lost before."""

    instance_type: str
    spot: bool
    launched_at: float
    ready_at: float | None
    ended_at: float
    cores: tuple[Spans, ...]

    def chips(self) -> list[tuple[Spans, ...]]:
        """The cores of each chip."""
        return [
            self.cores[first : first + CORES_PER_CHIP]
            for first in range(0, len(self.cores), CORES_PER_CHIP)
        ]


@dataclass(slots=True)
class Work:
    """Core-seconds of transcribing, without any start-up.

    `first` led to a request's first end (a transcript, that there is none, or the worker's death),
    `again` to a further one, and `cut_short` was lost with an instance in the midst of a request,
    which no dispatcher can help.
    """

    first: float = 0.0
    again: float = 0.0
    cut_short: float = 0.0


@dataclass(slots=True)
class History:
    """All of it. `finished_at` is NaN for a request without a transcript, `settled_at` until a
    request has come to any end; `killers` are the requests that killed a worker.
    """

    arrived_at: "array[float]"
    finished_at: "array[float]"
    settled_at: "array[float]"
    instances: tuple[InstanceLife, ...] = ()
    submissions: int = 0
    jobs: int = 0
    calls: int = 0
    given_up: int = 0
    instances_lost: int = 0
    work: Work = field(default_factory=Work)
    killers: set[int] = field(default_factory=set)
    ranges: set[tuple[int, int]] = field(default_factory=set)
    """Those that were transcribed, by the request and their number."""

    @classmethod
    def beginning(cls, arrived_at: "array[float]") -> "History":
        """Nothing has happened yet."""
        nothing = array("d", [math.nan]) * len(arrived_at)
        return cls(arrived_at, nothing, array("d", nothing))

    def finish(self, index: int, at_seconds: float, core_seconds: float, *, good: bool) -> None:
        """A try came to its end: with a transcript, or with the finding that none can be."""
        if not math.isnan(self.settled_at[index]):
            self.work.again += core_seconds
            return
        self.work.first += core_seconds
        self.settled_at[index] = at_seconds
        if good:
            self.finished_at[index] = at_seconds

    def finish_range(self, index: int, number: int, core_seconds: float) -> None:
        """A range of a recording was transcribed."""
        if (index, number) in self.ranges:
            self.work.again += core_seconds
        else:
            self.work.first += core_seconds
            self.ranges.add((index, number))

    def kill(self, index: int, core_seconds: float) -> None:
        """A request killed its worker: nobody could know the first time."""
        if index in self.killers:
            self.work.again += core_seconds
        else:
            self.work.first += core_seconds
            self.killers.add(index)

    def give_up(self, index: int, at_seconds: float) -> None:
        """A request will have no transcript."""
        self.given_up += 1
        if math.isnan(self.settled_at[index]):
            self.settled_at[index] = at_seconds


class Cores:
    """The spans of every core of every instance, while they are made."""

    def __init__(self) -> None:
        self._spans: dict[str, dict[int, Spans]] = {}

    def add(self, instance_id: str, core: int, start_seconds: float, end_seconds: float) -> None:
        """A job was on a core."""
        spans = self._spans.setdefault(instance_id, {}).setdefault(core, Spans())
        spans.add(start_seconds, end_seconds)

    def lives(
        self, figures: Figures, began_at: float, spot: frozenset[str]
    ) -> tuple[InstanceLife, ...]:
        """The lives of all instances, in order of launch; `spot` are compute environments."""
        lives = []
        for one in figures.instances:
            known = self._spans.get(one.instance_id, {})
            if one.ended_at is None:
                raise ValueError(f"instance {one.instance_id} is still up")
            lives.append(
                InstanceLife(
                    instance_type=one.instance_type,
                    spot=one.compute_environment in spot,
                    launched_at=one.launched_at - began_at,
                    ready_at=None if one.ready_at is None else one.ready_at - began_at,
                    ended_at=one.ended_at - began_at,
                    cores=tuple(
                        known.get(core, Spans()) for core in range(len(one.core_busy_seconds))
                    ),
                )
            )
        return tuple(sorted(lives, key=lambda life: life.launched_at))
