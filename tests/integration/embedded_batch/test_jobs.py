import json
import os
from collections.abc import Callable
from typing import Any

import pytest

SHOW_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"

IGNORE_TERM_WITH_A_CHILD = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    print(os.getpid(), flush=True)
else:
    print(os.getpid(), flush=True)
while True:
    signal.pause()
"""

LEAVE_A_CHILD = """
import os, signal
child = os.fork()
if child:
    print(child)
else:
    signal.pause()
"""

WAIT_FOR_TERM = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(75))
print("waiting", flush=True)
signal.pause()
"""


async def test_a_child_of_an_array_sees_batchs_variables_and_its_own(lab: Any) -> None:
    await lab.define_python(
        SHOW_ENVIRONMENT,
        container={"environment": [{"name": "NEURON_RT_NUM_CORES", "value": "1"}]},
    )
    overrides = {"environment": [{"name": "ORDER", "value": "o-1"}]}
    array_id = await lab.submit(arrayProperties={"size": 2}, containerOverrides=overrides)
    assert (await lab.finished(array_id))["status"] == "SUCCEEDED"
    child = await lab.describe(f"{array_id}:1")
    environment = json.loads(lab.log(child["container"]))
    assert environment.pop("PATH") == os.environ["PATH"]
    environment.pop("LC_CTYPE", None)
    assert environment == {
        "INHERITED": "from the service",
        "NEURON_RT_NUM_CORES": "1",
        "ORDER": "o-1",
        "AWS_BATCH_JOB_ID": f"{array_id}:1",
        "AWS_BATCH_JOB_ATTEMPT": "1",
        "AWS_BATCH_JOB_ARRAY_INDEX": "1",
        "AWS_BATCH_JQ_NAME": "queue",
        "AWS_BATCH_CE_NAME": "fleet",
    }


async def test_a_plain_job_has_no_array_index(lab: Any) -> None:
    await lab.define_python(SHOW_ENVIRONMENT)
    job = await lab.finished(await lab.submit())
    assert "AWS_BATCH_JOB_ARRAY_INDEX" not in json.loads(lab.log(job["container"]))
    assert "arrayProperties" not in job


async def test_a_finished_job_is_described_in_full(lab: Any) -> None:
    arn = await lab.define_python(
        "print('Ref::word')",
        parameters={"word": "unused"},
        timeout={"attemptDurationSeconds": 60},
        retryStrategy={"attempts": 2},
    )
    job = await lab.finished(await lab.submit(tags={"order": "o-1"}))
    assert job["jobDefinition"] == arn
    assert job["jobQueue"].endswith(":job-queue/queue")
    assert job["jobArn"].endswith(f":job/{job['jobId']}")
    assert job["createdAt"] <= job["startedAt"] <= job["stoppedAt"]
    assert job["container"]["exitCode"] == 0
    assert job["container"]["image"] == "recorded-and-not-pulled"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["retryStrategy"] == {"attempts": 2, "evaluateOnExit": []}
    assert job["timeout"] == {"attemptDurationSeconds": 60}
    assert job["tags"] == {"order": "o-1"}
    [attempt] = job["attempts"]
    assert attempt["container"]["logStreamName"].startswith("worker/default/")


async def test_a_waiting_job_has_neither_start_nor_attempts(lab: Any) -> None:
    await lab.define("true", container={"resourceRequirements": [
        {"type": "VCPU", "value": "5"}, {"type": "MEMORY", "value": "100"},
    ]})  # fmt: skip
    job = await lab.describe(await lab.submit())
    assert job["status"] == "RUNNABLE"
    assert job["statusReason"].startswith("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT")
    assert "startedAt" not in job
    assert job["attempts"] == []


async def test_parameters_fill_the_command(lab: Any) -> None:
    await lab.define("echo", "Ref::word", "Ref::other", parameters={"word": "one", "other": "two"})
    job = await lab.finished(await lab.submit(parameters={"other": "three"}))
    assert lab.log(job["container"]) == "one three\n"


async def test_each_core_of_an_instance_has_its_own_share_of_the_cpus(lab: Any) -> None:
    await lab.define_python("import os; print(sorted(os.sched_getaffinity(0)))")
    array_id = await lab.submit(arrayProperties={"size": 2})
    await lab.finished(array_id)
    shares = [
        json.loads(lab.log((await lab.describe(f"{array_id}:{index}"))["container"]))
        for index in range(2)
    ]
    available = sorted(os.sched_getaffinity(0))
    assert sorted({cpu for share in shares for cpu in share}) == available
    if len(available) > 1:
        assert not set(shares[0]) & set(shares[1])


async def test_every_attempt_keeps_its_exit_code_and_its_own_log(lab: Any) -> None:
    await lab.define_python(
        "import os, sys; n = int(os.environ['AWS_BATCH_JOB_ATTEMPT']); print(n); sys.exit(3 - n)",
        retryStrategy={
            "attempts": 5,
            "evaluateOnExit": [{"onExitCode": "9", "action": "EXIT"}],
        },
    )
    job = await lab.finished(await lab.submit())
    assert job["status"] == "SUCCEEDED"
    attempts = [attempt["container"] for attempt in job["attempts"]]
    assert [container["exitCode"] for container in attempts] == [2, 1, 0]
    assert [lab.log(container) for container in attempts] == ["1\n", "2\n", "3\n"]


async def test_a_rule_ends_a_job_that_has_attempts_left(lab: Any) -> None:
    await lab.define_python("import sys; sys.exit(66)")
    rules = [{"onExitCode": "66", "action": "EXIT"}]
    job_id = await lab.submit(retryStrategy={"attempts": 5, "evaluateOnExit": rules})
    job = await lab.finished(job_id)
    assert (job["status"], len(job["attempts"])) == ("FAILED", 1)


async def test_a_program_that_is_not_there_cannot_be_started(lab: Any) -> None:
    await lab.define("no-such-program")
    job = await lab.finished(await lab.submit())
    assert (job["status"], job["statusReason"]) == ("FAILED", "Task failed to start")
    assert job["container"]["reason"].startswith(
        "CannotStartContainerError: cannot find 'no-such-program'"
    )
    assert "exitCode" not in job["container"]


async def test_an_array_fails_with_one_child_and_counts_the_others(lab: Any) -> None:
    await lab.define_python(
        "import os, sys; sys.exit(os.environ['AWS_BATCH_JOB_ARRAY_INDEX'] == '2')"
    )
    array_id = await lab.submit(arrayProperties={"size": 5})
    array = await lab.finished(array_id)
    assert (array["status"], array["statusReason"]) == ("FAILED", "Array Child Job failed")
    assert array["arrayProperties"]["size"] == 5
    counts = array["arrayProperties"]["statusSummary"]
    assert (counts["SUCCEEDED"], counts["FAILED"], sum(counts.values())) == (4, 1, 5)
    child = await lab.describe(f"{array_id}:2")
    assert (child["status"], child["arrayProperties"]["index"]) == ("FAILED", 2)
    assert child["container"]["exitCode"] == 1


async def test_terminating_kills_a_process_group_that_ignores_sigterm(
    lab: Any, gone: Callable[[int], Any]
) -> None:
    await lab.define_python(IGNORE_TERM_WITH_A_CHILD, retryStrategy={"attempts": 3})
    job_id = await lab.submit()
    pids = [int(line) for line in await lab.printed(job_id, lines=2)]
    await lab.client.terminate_job(jobId=job_id, reason="superseded")
    job = await lab.finished(job_id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "superseded")
    assert job["container"]["exitCode"] == 137
    assert job["isTerminated"] is True
    assert len(job["attempts"]) == 1
    for pid in pids:
        await gone(pid)


async def test_a_process_that_heeds_sigterm_ends_with_its_own_exit_code(lab: Any) -> None:
    await lab.define_python(WAIT_FOR_TERM)
    array_id = await lab.submit(arrayProperties={"size": 3})
    for index in range(3):
        await lab.printed(f"{array_id}:{index}")
    await lab.client.terminate_job(jobId=array_id, reason="superseded")
    array = await lab.finished(array_id)
    assert (array["status"], array["statusReason"]) == ("FAILED", "superseded")
    child = await lab.describe(f"{array_id}:2")
    assert (child["statusReason"], child["container"]["exitCode"]) == ("superseded", 75)


async def test_cancelling_a_running_job_is_accepted_and_does_nothing(lab: Any) -> None:
    await lab.define_python(WAIT_FOR_TERM)
    job_id = await lab.submit()
    await lab.printed(job_id)
    await lab.client.cancel_job(jobId=job_id, reason="too late")
    job = await lab.describe(job_id)
    assert (job["status"], job["isCancelled"]) == ("RUNNING", False)


async def test_what_a_job_leaves_behind_ends_with_it(lab: Any, gone: Callable[[int], Any]) -> None:
    await lab.define_python(LEAVE_A_CHILD)
    job = await lab.finished(await lab.submit())
    assert job["status"] == "SUCCEEDED"
    await gone(int(lab.log(job["container"])))


async def test_a_lost_instance_is_replaced_and_its_jobs_run_again(
    lab: Any, gone: Callable[[int], Any]
) -> None:
    await lab.define_python(
        "import os, signal\n"
        "print(os.getpid(), flush=True)\n"
        "if os.environ['AWS_BATCH_JOB_ATTEMPT'] == '1': signal.pause()",
    )
    rules = [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
    ]
    job_id = await lab.submit(retryStrategy={"attempts": 2, "evaluateOnExit": rules})
    [pid] = await lab.printed(job_id)
    [instance] = lab.batch.figures().instances
    lab.batch.lose_instance(instance.instance_id)
    job = await lab.finished(job_id)
    assert job["status"] == "SUCCEEDED"
    lost, _ = job["attempts"]
    assert lost["statusReason"] == f"Host EC2 (instance {instance.instance_id}) terminated."
    assert "exitCode" not in lost["container"]
    await gone(int(pid))
    assert lab.batch.figures().instances_booted == 2


async def test_two_jobs_share_an_instance_and_their_time_is_counted(lab: Any) -> None:
    await lab.define("true")
    array_id = await lab.submit(arrayProperties={"size": 4})
    await lab.finished(array_id)
    figures = lab.batch.figures()
    assert (figures.jobs_submitted, figures.attempts_started) == (4, 4)
    assert figures.instances_booted == 2
    busy = figures.core_busy_seconds
    assert len(busy) == 4
    children = [await lab.describe(f"{array_id}:{index}") for index in range(4)]
    ran_seconds = sum(child["stoppedAt"] - child["startedAt"] for child in children) / 1_000
    assert sum(busy.values()) == pytest.approx(ran_seconds, abs=0.01)
