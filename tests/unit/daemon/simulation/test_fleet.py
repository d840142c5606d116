import math

import pytest

from daemon.settings import SecuritySettings
from daemon.simulation import fleet
from daemon.simulation.figures import Measures, measure
from daemon.simulation.fleet import Unsettled
from daemon.simulation.history import History
from daemon.simulation.workers import Nature
from daemon.simulation.workload import Workload
from tests import fleets

SPOT = [{"instance_type": "inf2.xlarge", "chips_max": 2, "spot": True}]


def run(work: Workload, seed: int = 1) -> History:
    return fleet.run(work, fleets.parameters(), fleets.settings(), seed)


def told(work: Workload, history: History) -> Measures:
    return measure(history, work.audio_seconds, fleets.parameters())


def test_a_single_request_ends_when_all_of_its_parts_have_passed() -> None:
    work = fleets.workload([7], [30])
    history = run(work)

    [life] = history.instances
    [started], [ended] = life.cores[0].starts, life.cores[0].ends
    # The floor rises before the linger is over, so the instance is up when the job comes.
    linger_seconds = fleets.settings().planner.linger_seconds
    placed = max(life.launched_at + fleets.BOOT, 7 + linger_seconds + fleets.EVALUATE)
    assert started == pytest.approx(placed + fleets.PULL + fleets.START, abs=1.5)
    assert ended - started == pytest.approx(fleets.LOAD + 30)
    assert list(history.finished_at) == [ended]
    assert history.submissions == history.jobs == 1
    assert history.calls > 10


def test_an_instance_is_paid_until_batch_has_scaled_in() -> None:
    history = run(fleets.workload([0], [30]))

    keep_warm_seconds = fleets.settings().autoscaler.keep_warm_seconds
    assert history.instances[0].ended_at > history.finished_at[0] + keep_warm_seconds


def test_everything_comes_to_its_end_and_pairs_fill_chips() -> None:
    natures = [Nature.GOOD] * 36 + [Nature.BAD, Nature.POISON, Nature.GOOD, Nature.BAD]
    work = fleets.workload([float(n) for n in range(40)], [40.0] * 40, natures)
    history = run(work)

    figures = told(work, history)
    assert (figures.transcripts, figures.given_up) == (37, 3)
    assert not any(math.isnan(at) for at in history.settled_at)
    assert figures.peak_chips <= 2
    # Three tries of the one that kills are two more than anybody needs.
    assert history.work.again == 80


def test_spot_losses_cost_only_what_was_in_hand() -> None:
    storm = [{"start_seconds": 0, "end_seconds": 3_000, "losses_per_instance_hour": 10}]
    work = fleets.workload([0.0] * 60, [30.0] * 60, lanes=SPOT, storms=storm)
    history = run(work)

    figures = told(work, history)
    assert figures.instances_lost > 2
    assert figures.transcripts == 60
    assert history.work.again == 0
    assert 0 < history.work.cut_short <= 30 * 2 * figures.instances_lost


def test_the_same_seed_gives_the_same_figures() -> None:
    storm = [{"start_seconds": 0, "end_seconds": 3_000, "losses_per_instance_hour": 10}]
    work = fleets.workload([0.0] * 40, [30.0] * 40, lanes=SPOT, storms=storm)

    first, again, other = (told(work, run(work, seed)) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_rules_about_recordings_do_not_hold_for_simulated_ones() -> None:
    strict = SecuritySettings.model_validate({"allowed_inputs": ["s3://mine/*"]})
    settings = fleets.settings().model_copy(update={"security": strict})
    assert settings.allowed_locations.inputs

    history = fleet.run(fleets.workload([0.0], [30.0]), fleets.parameters(), settings, 1)

    assert history.given_up == 0


def test_progress_is_told() -> None:
    seen: list[tuple[float, int]] = []
    work = fleets.workload([0.0] * 4, [30.0] * 4)

    fleet.run(work, fleets.parameters(), fleets.settings(), 1, lambda *now: seen.append(now))

    assert seen == sorted(seen)
    assert seen[-1][1] == 4


def test_a_dispatcher_that_ends_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_: object) -> None:
        raise RuntimeError("no planner today")

    monkeypatch.setattr("daemon.dispatcher.Dispatcher._plan", fail)

    with pytest.raises(Unsettled, match=r"left 3 of 3 requests unsettled: .*no planner today"):
        run(fleets.workload([0.0] * 3, [30.0] * 3))


def test_each_lane_of_the_scenario_is_one_of_the_daemons() -> None:
    lanes = fleet.lanes(
        fleets.scenario(
            lanes=[
                {"instance_type": "inf2.xlarge", "chips_max": 2, "spot": True},
                {"instance_type": "inf2.24xlarge", "chips_max": 12},
            ]
        ),
        fleets.parameters(),
    )

    assert [(lane.instance_type, lane.max_vcpus, lane.dollars_per_hour) for lane in lanes] == [
        ("inf2.xlarge", 8, 0.5),
        ("inf2.24xlarge", 192, 6.0),
    ]
    assert len({lane.name for lane in lanes}) == 2
