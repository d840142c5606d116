"""`result.json`: the figures of every policy on one workload, and nothing that differs by machine.

The same scenario, parameters, settings, requests and seed give the same bytes.
"""

from pydantic import BaseModel, ConfigDict

from daemon.simulation.figures import Measures
from daemon.simulation.parameters import SECONDS_PER_HOUR, Parameters
from daemon.simulation.policies import Policy, Run
from daemon.simulation.workload import Workload


class Result(BaseModel):
    """One simulation. `work_core_hours` is one try of every request, without any start-up."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scenario: str
    title: str
    seed: int
    requests: int
    audio_hours: float
    work_core_hours: float
    chips_max: int
    parameters: Parameters
    policies: dict[Policy, Measures]

    def to_json(self) -> str:
        """As it is written."""
        return self.model_dump_json(indent=2) + "\n"


def result(
    name: str, workload: Workload, parameters: Parameters, seed: int, runs: list[Run]
) -> Result:
    """The result of some runs on one workload."""
    return Result(
        scenario=name,
        title=workload.scenario.title,
        seed=seed,
        requests=len(workload),
        audio_hours=round(sum(workload.audio_seconds) / SECONDS_PER_HOUR, 6),
        work_core_hours=round(sum(workload.core_seconds) / SECONDS_PER_HOUR, 6),
        chips_max=workload.scenario.chips_max,
        parameters=parameters,
        policies={run.policy: run.measures for run in runs},
    )
