from typing import Any

import pytest

from daemon.embedded.batch.jobs import JobState
from daemon.embedded.batch.lifecycle import TIMED_OUT
from daemon.embedded.batch.pace import Pace

TWO_ATTEMPTS = {"retryStrategy": {"attempts": 2}}
ONE_HOUR = {"timeout": {"attemptDurationSeconds": 3_600}}


def test_a_job_goes_through_every_state_to_success(stage: Any) -> None:
    job = stage.submit()
    assert job.state is JobState.RUNNABLE
    stage.boot()
    assert job.state is JobState.STARTING
    stage.begin(job)
    assert (job.state, job.started_at) == (JobState.RUNNING, stage.now)
    stage.wait(60)
    stage.exit(job, 0)
    assert (job.state, job.stopped_at) == (JobState.SUCCEEDED, stage.now)
    assert job.status_reason == "Essential container in task exited"


def test_the_scheduler_looks_at_a_job_a_little_after_its_submission(make_stage: Any) -> None:
    stage = make_stage(Pace(evaluate_seconds=5))
    stage.queue(stage.environment())
    submitted_at = stage.now
    array = stage.submit_array(2)
    stage.wait(4)
    assert (array.state, array.children) == (JobState.SUBMITTED, [])
    stage.wait(1)
    assert array.state is JobState.PENDING
    assert [child.created_at - submitted_at for child in array.children] == [5, 5]


def test_an_array_cancelled_before_the_scheduler_saw_it_fails_with_all_children(
    make_stage: Any,
) -> None:
    stage = make_stage(Pace(evaluate_seconds=5))
    stage.queue(stage.environment())
    array = stage.submit_array(3)
    stage.model.cancel(array.job_id, "not needed", stage.now)
    assert (array.state, array.summary[JobState.FAILED]) == (JobState.FAILED, 3)
    stage.wait(60)
    assert (array.size, len(array.children), stage.starts()) == (3, 3, [])


def test_a_failed_attempt_is_recorded_and_the_job_tried_again(warm: Any) -> None:
    job = warm.submit(**TWO_ATTEMPTS)
    warm.run(job, 7)
    assert job.state is JobState.STARTING
    warm.run(job, 0)
    assert job.state is JobState.SUCCEEDED
    assert [(attempt.number, attempt.exit_code) for attempt in job.attempts] == [(1, 7), (2, 0)]


def test_a_job_fails_when_its_attempts_are_used_up(warm: Any) -> None:
    job = warm.submit(**TWO_ATTEMPTS)
    warm.run(job, 7)
    warm.run(job, 8)
    assert job.state is JobState.FAILED
    assert [attempt.exit_code for attempt in job.attempts] == [7, 8]


def test_a_container_that_cannot_start_has_a_reason_and_no_exit_code(warm: Any) -> None:
    job = warm.submit()
    warm.exit(job, None, "CannotStartContainerError: no such file")
    [attempt] = job.attempts
    assert (attempt.exit_code, attempt.started_at) == (None, None)
    assert attempt.reason == "CannotStartContainerError: no such file"
    assert (job.state, job.status_reason) == (JobState.FAILED, "Task failed to start")


def test_a_timed_out_job_gets_term_then_kill_and_is_not_retried(warm: Any) -> None:
    job = warm.submit(**TWO_ATTEMPTS, **ONE_HOUR)
    warm.begin(job)
    warm.wait(3_599)
    assert warm.signalled() == []
    warm.wait(1)
    assert warm.signalled() == [(job.job_id, "TERM")]
    warm.wait(29)
    assert warm.signalled() == []
    warm.wait(1)
    assert warm.signalled() == [(job.job_id, "KILL")]
    warm.exit(job, 137)
    assert (job.state, job.status_reason) == (JobState.FAILED, TIMED_OUT)
    assert (job.attempts[0].exit_code, job.attempts[0].status_reason) == (137, TIMED_OUT)


def test_each_attempt_has_the_whole_timeout(warm: Any) -> None:
    job = warm.submit(**TWO_ATTEMPTS, **ONE_HOUR)
    warm.begin(job)
    warm.wait(3_000)
    warm.exit(job, 1)
    warm.begin(job)
    warm.wait(3_000)
    assert warm.signalled() == []


def test_a_job_that_ends_in_its_grace_is_not_killed(warm: Any) -> None:
    job = warm.submit(**ONE_HOUR)
    warm.begin(job)
    warm.wait(3_610)
    warm.exit(job, 0)
    warm.wait(100)
    assert warm.signalled() == [(job.job_id, "TERM")]
    assert job.state is JobState.FAILED


def test_terminating_a_running_job_stops_it_with_the_reason_given(warm: Any) -> None:
    job = warm.submit(**TWO_ATTEMPTS)
    warm.begin(job)
    warm.model.terminate(job.job_id, "superseded", warm.now)
    warm.model.terminate(job.job_id, "again", warm.now)
    assert warm.signalled() == [(job.job_id, "TERM")]
    assert job.state is JobState.RUNNING
    warm.exit(job, 143)
    assert (job.state, job.status_reason, job.terminated) == (JobState.FAILED, "superseded", True)


def test_a_job_terminated_while_starting_is_signalled(warm: Any) -> None:
    job = warm.submit()
    warm.model.terminate(job.job_id, "superseded", warm.now)
    assert warm.signalled() == [(job.job_id, "TERM")]


@pytest.mark.parametrize("operation", ["cancel", "terminate"])
def test_a_job_that_waits_is_ended_at_once(stage: Any, operation: str) -> None:
    job = stage.submit()
    getattr(stage.model, operation)(job.job_id, "not needed", stage.now)
    assert (job.state, job.status_reason) == (JobState.FAILED, "not needed")
    stage.boot()
    assert stage.starts() == []


def test_cancelling_a_job_that_is_starting_or_running_does_nothing(warm: Any) -> None:
    starting, running = warm.submit(), warm.submit()
    warm.begin(running)
    for job in (starting, running):
        warm.model.cancel(job.job_id, "too late", warm.now)
    assert (starting.state, running.state) == (JobState.STARTING, JobState.RUNNING)
    assert (starting.cancelled, running.cancelled) == (False, False)
    assert warm.signalled() == []


def test_an_array_is_pending_while_children_run_and_succeeds_with_the_last(warm: Any) -> None:
    array = warm.submit_array(3)
    first, second, third = array.children
    assert [child.job_id for child in array.children] == [f"{array.job_id}:{i}" for i in range(3)]
    warm.run(first, 0)
    warm.run(second, 0)
    assert (array.state, array.summary[JobState.SUCCEEDED]) == (JobState.PENDING, 2)
    warm.run(third, 0)
    assert (array.state, array.status_reason) == (JobState.SUCCEEDED, None)
    assert array.stopped_at == warm.now


def test_an_array_fails_once_all_children_are_final_if_one_failed(warm: Any) -> None:
    array = warm.submit_array(2)
    warm.run(array.children[0], 1)
    assert array.state is JobState.PENDING
    warm.run(array.children[1], 0)
    assert (array.state, array.status_reason) == (JobState.FAILED, "Array Child Job failed")


def test_terminating_an_array_ends_every_child_wherever_it_stands(empty_stage: Any) -> None:
    empty_stage.queue(empty_stage.environment(least=4, most=4))
    empty_stage.boot()
    array = empty_stage.submit_array(4)
    done, running, *waiting = array.children
    empty_stage.run(done, 0)
    empty_stage.begin(running)
    empty_stage.model.terminate(array.job_id, "superseded", empty_stage.now)
    assert waiting[1].state is JobState.FAILED
    for job_id, _ in empty_stage.signalled():
        empty_stage.exit(empty_stage.model.jobs.find(job_id), 143)
    assert [child.state for child in array.children] == [JobState.SUCCEEDED] + 3 * [JobState.FAILED]
    assert (array.state, array.status_reason) == (JobState.FAILED, "superseded")


def test_cancelling_an_array_lets_running_children_finish(empty_stage: Any) -> None:
    empty_stage.queue(empty_stage.environment(least=4, most=4))
    empty_stage.boot()
    array = empty_stage.submit_array(3)
    empty_stage.model.cancel(array.job_id, "not needed", empty_stage.now)
    assert array.children[2].state is JobState.FAILED
    assert array.state is JobState.PENDING
    empty_stage.run(array.children[0], 0)
    empty_stage.run(array.children[1], 0)
    assert (array.state, array.status_reason) == (JobState.FAILED, "not needed")


def test_a_finished_job_is_forgotten_in_the_end(warm: Any) -> None:
    job, array = warm.submit(), warm.submit_array(2)
    for one in (job, *array.children):
        warm.run(one, 0)
    warm.wait(6.9 * 86_400)
    assert warm.model.jobs.find(job.job_id) is job
    warm.wait(86_400)
    assert warm.model.jobs.find(job.job_id) is None
    assert warm.model.jobs.find(array.children[1].job_id) is None
    assert not warm.model.jobs.of_queue("queue")
