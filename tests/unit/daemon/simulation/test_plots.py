from pathlib import Path

from matplotlib import image

from daemon.simulation import plots, policies
from daemon.simulation.policies import Policy
from tests import fleets


def test_each_policy_has_its_plots_and_all_share_the_others(tmp_path: Path) -> None:
    work = fleets.workload([0, 5], [30, 40])
    runs = [
        policies.run(policy, work, fleets.parameters(), fleets.settings(), 1)
        for policy in (Policy.TWO_PER_CHIP, Policy.JOB_PER_FILE, Policy.BOUND)
    ]

    files = plots.draw("Two", runs, tmp_path)

    assert [file.name for file in files] == [
        "occupancy-two-per-chip.png",
        "occupancy-job-per-file.png",
        "backlog-and-fleet.png",
        "cost.png",
    ]
    for file in files:
        # Something was drawn: not all of it is the background.
        assert image.imread(str(file))[:, :, :3].std() > 0.05


def test_a_bound_alone_has_a_bar(tmp_path: Path) -> None:
    work = fleets.workload([0], [30])
    run = policies.run(Policy.BOUND, work, fleets.parameters(), fleets.settings(), 1)

    assert [file.name for file in plots.draw("One", [run], tmp_path)] == ["cost.png"]
