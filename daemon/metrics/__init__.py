"""The daemon's Prometheus metrics: one prefix, base units, no ids in labels.

Each is defined once, with its unit, its labels and how stable it is; config/metrics.md is made of
the definitions (`reference`).
"""

from functools import cache
from importlib import metadata

from daemon.metrics.aws import AwsMetrics
from daemon.metrics.fleet import FleetMetrics
from daemon.metrics.labels import LOOP, VERSION
from daemon.metrics.register import PREFIX, Register
from daemon.metrics.requests import RequestMetrics
from daemon.metrics.workers import WorkerMetrics

__all__ = ["PREFIX", "Metrics"]

PACKAGE = "whisper-fleet"


class Metrics:
    """All metrics of one daemon, in a registry of its own."""

    def __init__(self) -> None:
        register = Register()
        self.registry = register.registry
        self.definitions = register.definitions
        self.requests = RequestMetrics(register)
        self.workers = WorkerMetrics(register)
        self.fleet = FleetMetrics(register)
        self.aws = AwsMetrics(register)
        register.begin("The daemon itself")
        build_info = register.gauge("build_info", "1", "Which version runs: always 1.", VERSION)
        build_info.labels(_version()).set(1)
        self.loop_beat = register.gauge(
            "loop_last_round_timestamp_seconds",
            "Unix seconds",
            "When a loop last finished a round.",
            LOOP,
        )
        self.loop_period_seconds = register.gauge(
            "loop_period_seconds",
            "seconds",
            "How long a loop rests between rounds; 0 for one whose rounds are long polls, of up to "
            "20 s.",
            LOOP,
        )
        self.loop_failures = register.counter(
            "loop_failures",
            "rounds",
            "Rounds of a loop that ended in an error and are made again.",
            LOOP,
        )

    def total(self, name: str) -> float:
        """A metric's sum over all its labels, by its name without prefix."""
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == f"{PREFIX}_{name}"
        )


@cache
def _version() -> str:
    try:
        return metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        return "not installed"
