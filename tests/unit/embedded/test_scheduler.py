from typing import Any

import pytest

from daemon.catalogue import instance_type
from daemon.embedded.batch.fleet import Capacity
from daemon.embedded.batch.jobs import JobState

XLARGE = instance_type("inf2.xlarge")
WHOLE_XLARGE = (4, 13_000)


def places(runs: Any) -> list[tuple[str, int]]:
    return [(run.instance_id, run.core) for run in runs]


def test_two_jobs_share_an_instance_and_a_third_does_not(empty_stage: Any) -> None:
    empty_stage.queue(empty_stage.environment(most=4))
    jobs = [empty_stage.submit() for _ in range(3)]
    empty_stage.boot()
    [instance_id] = empty_stage.instance_ids()
    assert places(empty_stage.starts()) == [(instance_id, 0), (instance_id, 1)]
    assert jobs[2].state is JobState.RUNNABLE
    empty_stage.run(jobs[0], 0)
    assert places(empty_stage.starts()) == [(instance_id, 0)]


@pytest.mark.parametrize(
    ("shape", "together"),
    [
        pytest.param((2, 6_900), 2, id="halves"),
        pytest.param((3, 6_900), 1, id="too many vCPUs"),
        pytest.param((2, 7_100), 1, id="too much memory"),
        pytest.param((1, 100), 2, id="small jobs, but one core each"),
    ],
)
def test_vcpus_memory_and_cores_bound_what_an_instance_takes(
    empty_stage: Any, shape: tuple[int, int], together: int
) -> None:
    empty_stage.queue(empty_stage.environment(least=4, most=4))
    empty_stage.boot()
    for _ in range(4):
        empty_stage.submit(shape=shape)
    assert len(empty_stage.starts()) == together


def test_the_fleet_boots_just_as_many_instances_as_the_waiting_jobs_need(stage: Any) -> None:
    stage.submit_array(5)
    assert len(stage.instance_ids()) == 3
    stage.wait(60)
    stage.submit()
    assert len(stage.instance_ids()) == 3, "the sixth job has room on the third instance"
    stage.submit()
    assert len(stage.instance_ids()) == 4


def test_no_job_starts_before_its_instance_has_booted(stage: Any) -> None:
    stage.submit()
    stage.wait(119)
    assert stage.starts() == []
    stage.wait(1)
    assert len(stage.starts()) == 1


def test_the_fleet_never_passes_its_upper_bound(empty_stage: Any) -> None:
    empty_stage.queue(empty_stage.environment(most=11))
    empty_stage.submit_array(10_000)
    empty_stage.boot()
    assert empty_stage.model.environments["fleet"].vcpus == 8
    assert len(empty_stage.starts()) == 4


def test_a_full_instance_is_preferred_to_an_empty_one(warm: Any) -> None:
    first, second, third = warm.submit(), warm.submit(), warm.submit()
    [a, _, b] = [run.instance_id for run in warm.starts()]
    assert a != b
    warm.run(second, 0)
    warm.run(third, 0)
    warm.submit()
    assert places(warm.starts()) == [(a, 1)]
    assert first.state is JobState.STARTING


def test_an_idle_instance_leaves_after_the_delay(stage: Any) -> None:
    job = stage.submit()
    stage.boot()
    stage.begin(job)
    stage.wait(1_000)
    stage.exit(job, 0)
    stage.wait(299)
    assert len(stage.instance_ids()) == 1
    stage.wait(1)
    assert stage.instance_ids() == []


def test_a_new_job_within_the_delay_keeps_the_instance(stage: Any) -> None:
    first = stage.submit()
    stage.boot()
    stage.run(first, 0)
    stage.wait(299)
    stage.submit()
    stage.wait(299)
    assert len(stage.instance_ids()) == 1
    assert len(stage.starts()) == 2


def test_the_lower_bound_is_booted_at_once_and_held(empty_stage: Any) -> None:
    empty_stage.queue(empty_stage.environment(least=6))
    assert empty_stage.model.environments["fleet"].vcpus == 8
    empty_stage.wait(100_000)
    assert empty_stage.model.environments["fleet"].vcpus == 8


def test_a_lowered_bound_lets_held_instances_go_once_idle_long_enough(warm: Any) -> None:
    environment = warm.model.environments["fleet"]
    warm.wait(1_000)
    warm.model.update_environment(environment, Capacity(4, 400, (XLARGE,)), 0, warm.now)
    warm.wait(300)
    assert environment.vcpus == 4


def test_desired_vcpus_are_launched_at_once_and_leave_again_when_idle(stage: Any) -> None:
    environment = stage.model.environments["fleet"]
    stage.model.update_environment(environment, environment.capacity, 10, stage.now)
    assert environment.vcpus == 12
    stage.boot()
    stage.wait(300)
    assert environment.vcpus == 0


def test_a_disabled_environment_takes_no_jobs_and_launches_nothing_for_them(warm: Any) -> None:
    environment = warm.model.environments["fleet"]
    disabled = Capacity(8, 400, (XLARGE,), enabled=False)
    warm.model.update_environment(environment, disabled, 0, warm.now)
    warm.submit_array(9)
    warm.wait(1_000)
    assert warm.starts() == []
    assert environment.vcpus == 8


def test_a_second_environment_takes_what_the_first_has_no_room_for(empty_stage: Any) -> None:
    first = empty_stage.environment("spot", most=4)
    second = empty_stage.environment("on-demand", most=400)
    empty_stage.queue(first, second)
    empty_stage.submit_array(5)
    assert (first.vcpus, second.vcpus) == (4, 8)
    empty_stage.boot()
    environments = [run.compute_environment for run in empty_stage.starts()]
    assert environments == ["spot"] * 2 + ["on-demand"] * 3


def test_the_queue_of_higher_priority_goes_first(empty_stage: Any) -> None:
    environment = empty_stage.environment(most=4)
    empty_stage.queue(environment, name="low", priority=1)
    empty_stage.queue(environment, name="high", priority=10)
    for queue in ("low", "low", "high"):
        empty_stage.submit(queue=queue, name=queue)
    empty_stage.boot()
    assert [run.job_name for run in empty_stage.starts()] == ["high", "low"]


def test_a_retried_job_goes_before_those_submitted_later(empty_stage: Any) -> None:
    empty_stage.queue(empty_stage.environment(most=4))
    jobs = [
        empty_stage.submit(name=str(number), retryStrategy={"attempts": 2}) for number in range(4)
    ]
    empty_stage.boot()
    empty_stage.run(jobs[0], 1)
    assert [run.job_name for run in empty_stage.starts()] == ["0", "1", "0"]


def test_a_job_too_big_for_any_instance_blocks_its_queue_and_says_why(stage: Any) -> None:
    big, small = stage.submit(shape=(5, 1_000)), stage.submit()
    assert big.status_reason.startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    assert stage.instance_ids() == []
    stage.model.cancel(big.job_id, "too big", stage.now)
    stage.boot()
    assert [run.key.job_id for run in stage.starts()] == [small.job_id]


def test_an_upper_bound_below_one_instance_is_given_as_the_reason(empty_stage: Any) -> None:
    environment = empty_stage.environment(most=0)
    empty_stage.queue(environment)
    job = empty_stage.submit()
    assert job.status_reason.startswith("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE")
    wider = Capacity(0, 4, (XLARGE,))
    empty_stage.model.update_environment(environment, wider, 0, empty_stage.now)
    assert job.status_reason is None
    empty_stage.boot()
    assert job.state is JobState.STARTING


def test_a_job_at_the_head_that_only_waits_for_room_still_goes_first(empty_stage: Any) -> None:
    empty_stage.queue(empty_stage.environment(least=4, most=4))
    empty_stage.boot()
    half = empty_stage.submit()
    whole, other_half = empty_stage.submit(shape=WHOLE_XLARGE), empty_stage.submit()
    assert len(empty_stage.starts()) == 1
    empty_stage.run(half, 0)
    assert [run.key.job_id for run in empty_stage.starts()] == [whole.job_id]
    assert other_half.state is JobState.RUNNABLE


def test_an_invalid_environment_takes_no_jobs_and_what_runs_in_it_goes_on(stage: Any) -> None:
    running = stage.submit()
    stage.boot()
    stage.begin(running)
    stage.starts()
    stage.model.set_invalid("fleet", "CLIENT_ERROR - not authorized", stage.now)
    waiting = [stage.submit() for _ in range(3)]
    stage.wait(3_600)

    assert stage.starts() == []
    assert {job.state for job in waiting} == {JobState.RUNNABLE}
    assert len(stage.instance_ids()) == 1, "nothing is launched"
    stage.exit(running, 0)
    assert running.state is JobState.SUCCEEDED

    stage.model.set_invalid("fleet", None, stage.now)
    stage.boot()
    assert len(stage.starts()) == 3


def test_an_invalid_environment_does_not_keep_its_lower_bound_up(empty_stage: Any) -> None:
    empty_stage.queue(empty_stage.environment(least=4))
    empty_stage.model.set_invalid("fleet", "broken", empty_stage.now)
    [lost] = empty_stage.instance_ids()
    empty_stage.model.instance_lost(lost, empty_stage.now)
    assert empty_stage.instance_ids() == []
    empty_stage.model.set_invalid("fleet", None, empty_stage.now)
    assert len(empty_stage.instance_ids()) == 1


def test_jobs_pass_an_invalid_environment_by(empty_stage: Any) -> None:
    empty_stage.queue(empty_stage.environment("first"), empty_stage.environment("second"))
    empty_stage.model.set_invalid("first", "broken", empty_stage.now)
    empty_stage.submit()
    empty_stage.boot()
    [run] = empty_stage.starts()
    assert run.compute_environment == "second"


def test_without_capacity_jobs_stay_runnable_and_the_first_says_why(stage: Any) -> None:
    stage.model.set_out_of_capacity("fleet", True, stage.now)
    jobs = [stage.submit() for _ in range(2)]
    stage.wait(30 * 86_400)

    assert [job.state for job in jobs] == [JobState.RUNNABLE] * 2
    assert jobs[0].status_reason == (
        "CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - Service cannot fulfill the capacity requested "
        "for instance type inf2.xlarge"
    )
    assert jobs[1].status_reason is None
    assert stage.instance_ids() == []

    stage.model.set_out_of_capacity("fleet", False, stage.now)
    assert jobs[0].status_reason is None
    stage.boot()
    assert len(stage.starts()) == 2


def test_without_capacity_jobs_still_use_what_runs_already(warm: Any) -> None:
    warm.model.set_out_of_capacity("fleet", True, warm.now)
    jobs = [warm.submit() for _ in range(6)]
    assert len(warm.starts()) == 4
    warm.run(jobs[0], 0)
    assert len(warm.starts()) == 1


def test_where_one_environment_has_capacity_the_queue_is_not_stuck(empty_stage: Any) -> None:
    empty_stage.queue(empty_stage.environment("first"), empty_stage.environment("second"))
    empty_stage.model.set_out_of_capacity("first", True, empty_stage.now)
    job = empty_stage.submit()
    assert job.status_reason is None
    empty_stage.boot()
    [run] = empty_stage.starts()
    assert run.compute_environment == "second"
