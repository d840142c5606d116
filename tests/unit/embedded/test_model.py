from typing import Any

from daemon.embedded.batch.jobs import JobState
from daemon.embedded.batch.pace import Pace

SPOT_RULES = {
    "retryStrategy": {
        "attempts": 3,
        "evaluateOnExit": [
            {"onStatusReason": "Host EC2*", "action": "RETRY"},
            {"onReason": "*", "action": "exit"},
        ],
    }
}


def test_a_lost_instance_takes_its_jobs_along_and_they_are_tried_again_elsewhere(
    empty_stage: Any,
) -> None:
    empty_stage.queue(empty_stage.environment(least=4))
    empty_stage.boot()
    jobs = [empty_stage.submit(**SPOT_RULES) for _ in range(2)]
    keys = [empty_stage.begin(job) for job in jobs]
    [lost] = empty_stage.instance_ids()
    empty_stage.model.instance_lost(lost, empty_stage.now)
    assert empty_stage.signalled() == [(job.job_id, "KILL") for job in jobs]
    assert [job.state for job in jobs] == [JobState.RUNNABLE, JobState.RUNNABLE]
    [attempt] = jobs[0].attempts
    assert attempt.status_reason == f"Host EC2 (instance {lost}) terminated."
    assert attempt.exit_code is None

    empty_stage.model.exited(keys[0], 137, empty_stage.now)
    assert len(jobs[0].attempts) == 1, "the end of the lost attempt's process is not another end"

    empty_stage.starts()
    empty_stage.boot()
    [replacement] = empty_stage.instance_ids()
    assert replacement != lost
    assert [run.instance_id for run in empty_stage.starts()] == [replacement] * 2
    empty_stage.run(jobs[0], 1)
    assert jobs[0].state is JobState.FAILED, "a crash is not retried under these rules"


def test_an_instance_lost_while_it_boots_is_replaced(stage: Any) -> None:
    stage.submit()
    [lost] = stage.instance_ids()
    stage.wait(60)
    stage.model.instance_lost(lost, stage.now)
    stage.boot()
    assert [run.instance_id for run in stage.starts()] == stage.instance_ids() != [lost]


def test_the_loss_of_an_unknown_instance_is_ignored(warm: Any) -> None:
    warm.model.instance_lost("i-unknown", warm.now)
    assert len(warm.instance_ids()) == 2


def test_a_job_told_to_stop_is_not_retried_when_its_instance_is_lost(warm: Any) -> None:
    job = warm.submit(**SPOT_RULES)
    warm.begin(job)
    warm.model.terminate(job.job_id, "superseded", warm.now)
    warm.model.instance_lost(job.held_attempt.instance_id, warm.now)
    assert (job.state, job.status_reason) == (JobState.FAILED, "superseded")
    warm.signalled()
    warm.wait(60)
    assert warm.signalled() == []


def test_what_becomes_of_unknown_attempts_is_ignored(warm: Any) -> None:
    job = warm.submit(**SPOT_RULES)
    key = warm.begin(job)
    warm.exit(job, 0)
    warm.model.exited(key, 1, warm.now)
    warm.model.started(key, warm.now)
    assert (job.state, len(job.attempts)) == (JobState.SUCCEEDED, 1)


def test_an_attempt_to_start_carries_all_that_its_process_needs(warm: Any) -> None:
    array = warm.submit_array(2)
    first, second = warm.starts()
    assert (first.core, second.core, first.cores) == (0, 1, 2)
    assert (first.array_index, second.array_index) == (0, 1)
    assert second.key.job_id == array.children[1].job_id
    assert second.key.attempt == 1
    assert (second.queue, second.compute_environment) == ("queue", "fleet")
    assert second.command == ("work",)
    assert second.log_stream.startswith("definition/default/")


def test_figures_count_busy_seconds_for_each_core_of_each_instance(stage: Any) -> None:
    pair = stage.submit_array(2)
    stage.boot()
    for child in pair.children:
        stage.begin(child)
    stage.wait(40)
    stage.exit(pair.children[0], 0)
    stage.wait(20)
    [instance_id] = stage.instance_ids()
    figures = stage.model.figures(stage.now)
    assert figures.core_busy_seconds == {(instance_id, 0): 40.0, (instance_id, 1): 60.0}
    assert (figures.jobs_submitted, figures.attempts_started) == (2, 2)
    assert figures.instances_booted == 1


def test_figures_keep_instances_that_are_gone(stage: Any) -> None:
    job = stage.submit()
    stage.boot()
    stage.begin(job)
    stage.wait(30)
    stage.exit(job, 0)
    stage.wait(300)
    [instance] = stage.model.figures(stage.now).instances
    assert instance.core_busy_seconds == (30.0, 0.0)
    assert instance.ended_at == stage.now


def test_the_largest_array_runs_to_its_end(stage: Any) -> None:
    array = stage.submit_array(10_000)
    stage.boot()
    while not array.state.final:
        for run in stage.starts():
            stage.model.started(run.key, stage.now)
            stage.model.exited(run.key, 0, stage.now)
    assert array.summary[JobState.SUCCEEDED] == 10_000
    assert stage.model.figures(stage.now).attempts_started == 10_000


def test_the_same_seed_gives_the_same_ids(make_stage: Any) -> None:
    ids = []
    for _ in range(2):
        stage = make_stage(Pace(boot_seconds=0))
        stage.queue(stage.environment())
        ids.append((stage.submit().job_id, *stage.instance_ids(), stage.starts()[0].log_stream))
    assert ids[0] == ids[1]


def test_an_arrays_children_are_known_together_with_it(make_stage: Any) -> None:
    stage = make_stage(Pace(evaluate_seconds=5, visible_after_seconds=10))
    stage.queue(stage.environment())
    parent = stage.submit_array(2)
    stage.wait(9)
    seen = [stage.model.visible(job, stage.now) for job in (parent, *parent.children)]
    assert seen == [False] * 3
    stage.wait(1)
    seen = [stage.model.visible(job, stage.now) for job in (parent, *parent.children)]
    assert seen == [True] * 3
