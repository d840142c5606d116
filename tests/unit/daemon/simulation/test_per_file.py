import pytest

from daemon.simulation import per_file
from daemon.simulation.history import History
from daemon.simulation.parameters import Parameters
from daemon.simulation.per_file import Sample, job_per_file, two_per_chip
from daemon.simulation.workers import Nature
from daemon.simulation.workload import Workload
from tests import fleets

FIRST_START = fleets.EVALUATE + fleets.BOOT + fleets.PULL + fleets.START + fleets.LOAD
"""From the submission of the first job to its first window."""


def run(
    work: Workload,
    sample: Sample | None = None,
    parameters: Parameters | None = None,
    seed: int = 1,
) -> History:
    sample = sample or two_per_chip(work.scenario)
    return per_file.run(work, parameters or fleets.parameters(), sample, seed)


def test_a_single_job_ends_when_all_of_its_parts_have_passed() -> None:
    history = run(fleets.workload([7], [30]))

    assert list(history.finished_at) == [7 + FIRST_START + 30]
    [life] = history.instances
    assert life.launched_at == 7 + fleets.EVALUATE
    assert life.ended_at == 7 + FIRST_START + 30 + fleets.IDLE
    [start], [end] = life.cores[0].starts, life.cores[0].ends
    assert (start, end) == (7 + FIRST_START - fleets.LOAD, 7 + FIRST_START + 30)


def test_the_image_is_pulled_once_for_an_instance() -> None:
    one_chip = [{"instance_type": "inf2.xlarge", "chips_max": 1}]
    history = run(fleets.workload([0, 0, 0], [30, 50, 40], lanes=one_chip))

    first, second, third = history.finished_at
    assert (first, second) == (FIRST_START + 30, pytest.approx(FIRST_START + 50, abs=0.1))
    assert third == first + fleets.START + fleets.LOAD + 40


def test_two_jobs_share_a_chip_or_each_has_an_instance() -> None:
    work = fleets.workload([0, 0], [30, 30])

    shared = run(work, two_per_chip(work.scenario))
    alone = run(work, job_per_file(work.scenario))

    assert [life.instance_type for life in shared.instances] == ["inf2.xlarge"]
    assert [life.instance_type for life in alone.instances] == ["inf2.8xlarge"] * 2
    assert all(not life.cores[1].starts for life in alone.instances)


def test_the_ceiling_is_the_scenarios_in_chips() -> None:
    lanes = [{"instance_type": "inf2.24xlarge", "chips_max": 12}]

    assert job_per_file(fleets.scenario(lanes=lanes)).instances_max == 12
    assert two_per_chip(fleets.scenario(lanes=lanes)).instances_max == 2


def test_submissions_keep_to_the_quota() -> None:
    slow = fleets.parameters(submissions_per_second=0.1)
    many = [{"instance_type": "inf2.xlarge", "chips_max": 10}]
    history = run(fleets.workload([0] * 4, [30] * 4, lanes=many), parameters=slow)

    # The first two jobs share an instance; the third is submitted after 20 s.
    assert [life.launched_at for life in history.instances] == [
        fleets.EVALUATE,
        20 + fleets.EVALUATE,
    ]


def test_how_many_jobs_stand_in_batchs_queue_makes_no_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    work = fleets.workload([0] * 60, [30 + number % 7 for number in range(60)])
    few = run(work)

    monkeypatch.setattr(per_file, "AHEAD_PER_CORE", 1_000)
    assert run(work).finished_at == few.finished_at


def test_a_recording_that_kills_its_worker_is_tried_twice_and_given_up() -> None:
    history = run(fleets.workload([0, 0], [30, 30], [Nature.POISON, Nature.GOOD]))

    assert history.given_up == 1
    assert (history.work.first, history.work.again) == (60, 30)
    assert history.finished_at[1] == pytest.approx(FIRST_START + 30, abs=0.1)


def test_a_recording_without_audio_is_given_up() -> None:
    history = run(fleets.workload([0], [30], [Nature.BAD]))

    assert (history.given_up, history.work.again) == (1, 30)


def test_a_job_that_runs_into_its_timeout_is_not_tried_again() -> None:
    history = run(fleets.workload([0], [10_000]))

    assert history.given_up == 1
    [life] = history.instances
    assert life.cores[0].ends[0] - life.cores[0].starts[0] == 3_600
    assert len(life.cores[0].starts) == 1


def test_a_lost_instance_costs_the_work_of_its_jobs_and_one_try() -> None:
    spot = [{"instance_type": "inf2.xlarge", "chips_max": 1, "spot": True}]
    storm = [{"start_seconds": 190, "end_seconds": 201, "losses_per_instance_hour": 100_000}]
    history = run(fleets.workload([0], [100], lanes=spot, storms=storm))

    # The first window is at 177 s; the look at 190 s takes the instance, the one at 200 s the next.
    assert history.instances_lost >= 1
    assert history.work.cut_short == 190 - FIRST_START
    assert history.work.first == 100
    assert [life.spot for life in history.instances] == [True] * len(history.instances)


def test_the_same_seed_gives_the_same_history() -> None:
    spot = [{"instance_type": "inf2.xlarge", "chips_max": 2, "spot": True}]
    storm = [{"start_seconds": 0, "end_seconds": 9_999, "losses_per_instance_hour": 20}]
    work = fleets.workload([0] * 30, [50] * 30, lanes=spot, storms=storm)

    first, again, other = run(work), run(work), run(work, seed=2)

    assert first.settled_at == again.settled_at
    assert first.settled_at != other.settled_at
