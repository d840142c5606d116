import random

import pytest

from daemon.simulation import policies
from daemon.simulation.policies import Policy
from tests import fleets

LANES = [
    {"instance_type": "inf2.xlarge", "chips_max": 2},
    {"instance_type": "inf2.24xlarge", "chips_max": 6},
]


@pytest.mark.parametrize("seed", range(4))
def test_nobody_is_cheaper_or_sooner_than_the_bound(seed: int) -> None:
    source = random.Random(seed)
    times = sorted(source.uniform(0, source.choice([1, 600])) for _ in range(30))
    work = fleets.workload(times, [source.uniform(1, 200) for _ in times], lanes=[LANES[seed % 2]])

    told = {
        policy: policies.run(policy, work, fleets.parameters(), fleets.settings(), seed).measures
        for policy in Policy
    }

    bound = told.pop(Policy.BOUND)
    for measures in told.values():
        assert measures.transcripts == bound.transcripts == 30
        assert measures.dollars > bound.dollars
        assert measures.makespan_seconds > bound.makespan_seconds
        assert measures.peak_chips <= bound.peak_chips
        assert measures.busy_share < bound.busy_share


def test_every_policy_meets_the_same_arrivals() -> None:
    work = fleets.workload([0, 50, 300], [30, 30, 30])

    runs = [
        policies.run(policy, work, fleets.parameters(), fleets.settings(), 1)
        for policy in (Policy.FLEET, Policy.TWO_PER_CHIP, Policy.JOB_PER_FILE)
    ]

    for run in runs:
        assert run.history is not None
        assert run.history.arrived_at == work.at_seconds
        assert all(
            done >= at + 30
            for at, done in zip(work.at_seconds, run.history.finished_at, strict=True)
        )
