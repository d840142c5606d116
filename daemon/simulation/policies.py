"""The policies that are compared, by name, on the same workload."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from daemon.settings import Settings
from daemon.simulation import fleet, per_file
from daemon.simulation.bound import bound
from daemon.simulation.figures import Measures, measure
from daemon.simulation.history import History
from daemon.simulation.parameters import Parameters
from daemon.simulation.workload import Workload


class Policy(StrEnum):
    """Who decides what runs where; each module's docstring says how."""

    FLEET = "fleet"
    TWO_PER_CHIP = "two-per-chip"
    JOB_PER_FILE = "job-per-file"
    BOUND = "bound"


@dataclass(frozen=True, slots=True)
class Run:
    """One policy's figures, and what happened; the bound has no history."""

    policy: Policy
    measures: Measures
    history: History | None


def run(
    policy: Policy,
    workload: Workload,
    parameters: Parameters,
    settings: Settings,
    seed: int,
    progress: Callable[[float, int], None] = lambda _, __: None,
) -> Run:
    """Run one policy to its end. `fleet.Unsettled` if the dispatcher comes to none."""
    if policy is Policy.BOUND:
        return Run(policy, bound(workload, parameters), None)
    if policy is Policy.FLEET:
        history = fleet.run(workload, parameters, settings, seed, progress)
    else:
        choose = per_file.two_per_chip if policy is Policy.TWO_PER_CHIP else per_file.job_per_file
        sample = choose(workload.scenario)
        history = per_file.run(workload, parameters, sample, seed, progress)
    return Run(policy, measure(history, workload.audio_seconds, parameters), history)
