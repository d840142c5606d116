"""Small scenarios, parameters and workloads with round numbers, for the simulator's tests."""

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from daemon.settings import Settings, load
from daemon.simulation.parameters import Parameters
from daemon.simulation.scenario import Scenario
from daemon.simulation.workers import Nature
from daemon.simulation.workload import NATURES, Workload

ROOT = Path(__file__).parents[1]

BOOT, PULL, START, EVALUATE, LOAD, IDLE = 100.0, 50.0, 5.0, 2.0, 20.0, 60.0
PROFILE = "large-v3-turbo"


def parameters(**changes: Any) -> Parameters:
    """A core transcribes as fast as the audio runs, and a file takes no time besides."""
    return Parameters.model_validate(
        {
            "boot_seconds": BOOT,
            "image_pull_seconds": PULL,
            "container_start_seconds": START,
            "evaluate_seconds": EVALUATE,
            "idle_seconds": IDLE,
            "billing_minimum_seconds": 60,
            "submissions_per_second": 50,
            "file_seconds": 0,
            "spot": {"price_share": 0.5, "losses_per_instance_hour": 0},
            "profiles": {PROFILE: {"core_seconds_per_audio_hour": 3_600, "load_seconds": LOAD}},
            "instances": {
                "inf2.xlarge": 1.0,
                "inf2.8xlarge": 2.0,
                "inf2.24xlarge": 6.0,
                "inf2.48xlarge": 12.0,
            },
            **changes,
        }
    )


def scenario(**changes: Any) -> Scenario:
    """Ten requests of 30 s within ten seconds, for at most two chips on demand."""
    return Scenario.model_validate(
        {
            "title": "Ten",
            "about": "Ten requests.",
            "requests": 10,
            "profile": PROFILE,
            "hint": "duration",
            "arrivals": {"process": "at_once", "seconds": 10},
            "recordings": [
                {
                    "share": 1,
                    "container": "wav",
                    "bytes_per_second": 32_000,
                    "median_seconds": 30,
                }
            ],
            "lanes": [{"instance_type": "inf2.xlarge", "chips_max": 2}],
            **changes,
        }
    )


def workload(
    at_seconds: Sequence[float],
    core_seconds: Sequence[float],
    natures: Sequence[Nature] = (),
    **changes: Any,
) -> Workload:
    """Requests with given arrivals and core-seconds; audio is as long as its work."""
    natures = natures or [Nature.GOOD] * len(at_seconds)
    return Workload(
        scenario(**changes),
        array("d", at_seconds),
        array("d", core_seconds),
        array("d", core_seconds),
        array("B", [0] * len(at_seconds)),
        array("B", [NATURES.index(nature) for nature in natures]),
    )


def settings() -> Settings:
    """The shipped settings of the daemon."""
    return load(ROOT / "config" / "daemon.toml")
