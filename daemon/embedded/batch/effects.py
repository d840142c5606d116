"""What the model asks of the world outside: processes to start and to signal, news to pass on."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


@dataclass(frozen=True, slots=True)
class AttemptKey:
    """Names one attempt of one job; attempts count from 1."""

    job_id: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Run:
    """All that is needed to run one attempt.

    `core` is the NeuronCore, of `cores` on the instance, that no other job holds meanwhile.
    `environment` holds the container's own variables. `log_stream` names the attempt's log.
    """

    key: AttemptKey
    job_name: str
    queue: str
    compute_environment: str
    instance_id: str
    core: int
    cores: int
    array_index: int | None
    image: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    log_stream: str


class StopSignal(StrEnum):
    """How a container is told to stop."""

    TERM = "TERM"
    KILL = "KILL"


@dataclass(frozen=True, slots=True)
class Start:
    """Start an attempt; report `started`, then `exited`."""

    run: Run


@dataclass(frozen=True, slots=True)
class Signal:
    """Signal every process of an attempt; its end is reported as any other."""

    key: AttemptKey
    signal: StopSignal


@dataclass(frozen=True, slots=True)
class Changed:
    """A job, an array or a child has changed its state; `detail` shows it as it was just then."""

    detail: dict[str, Any]
    at_seconds: float


Effect = Start | Signal | Changed
