"""Batch. Sources: API_SubmitJob, API_DescribeJobs, API_ListJobs, array_jobs.html,
API_UpdateComputeEnvironment.
"""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from daemon.aws.limits import DESCRIBE_JOBS_MAX
from daemon.embedded.batch.limits import LIST_JOBS_PAGE_MAX
from daemon.ports import Batch, Job, JobStatus, Refused, Submission
from tests.conformance.ports.world import EXIT_CODE, Ports

UNKNOWN = "00000000-0000-4000-8000-000000000000"


def submission(name: str = "wf-order", size: int = 1) -> Submission:
    return Submission(name, "lane", "lane", size, environment={"A": "b"})


async def ended(batch: Batch, job_id: str) -> Job:
    """The job, once it has ended."""
    while True:
        job = (await batch.describe([job_id]))[job_id]
        if job.status.ended:
            return job
        await asyncio.sleep(0.05)


async def test_a_job_that_went_well(ports: Ports) -> None:
    job_id = await ports.batch.submit(submission())
    job = await ended(ports.batch, job_id)
    assert (job.job_id, job.status, job.children) == (job_id, JobStatus.SUCCEEDED, {})
    assert (job.end.exit_code, job.end.container_reason, job.end.attempts) == (0, "", 1)
    assert job.log_stream


async def test_an_array_of_which_some_fail(ports: Ports) -> None:
    job_id = await ports.batch.submit(submission(size=4))
    job = await ended(ports.batch, job_id)
    assert job.status is JobStatus.FAILED
    assert job.children == {JobStatus.SUCCEEDED: 2, JobStatus.FAILED: 2}
    assert sorted(await ports.batch.failed_children(job_id)) == [1, 3]
    child = await ended(ports.batch, f"{job_id}:3")
    assert (child.status, child.end.exit_code) == (JobStatus.FAILED, EXIT_CODE)
    assert (child.end.attempts, child.children) == (1, {})
    assert child.log_stream
    good = await ended(ports.batch, f"{job_id}:2")
    assert (good.status, good.end.exit_code) == (JobStatus.SUCCEEDED, 0)
    assert job.end.exit_code is None, "an array has no container"
    assert job.end.attempts == 0


async def test_an_array_of_which_none_failed(ports: Ports) -> None:
    job_id = await ports.batch.submit(submission(size=2))
    assert await ports.batch.failed_children(job_id) in ([], [1])
    job = await ended(ports.batch, job_id)
    assert sum(job.children.values()) == 2


async def test_what_batch_does_not_know_is_left_out(ports: Ports) -> None:
    job_id = await ports.batch.submit(submission(size=2))
    asked = [UNKNOWN, job_id, f"{job_id}:7", f"{UNKNOWN}:0", job_id]
    assert set(await ports.batch.describe(asked)) == {job_id}
    assert await ports.batch.describe([]) == {}


async def test_more_jobs_are_described_than_go_into_one_call(ports: Ports) -> None:
    job_id = await ports.batch.submit(submission(size=DESCRIBE_JOBS_MAX + 20))
    children = [f"{job_id}:{index}" for index in range(DESCRIBE_JOBS_MAX + 20)]
    assert set(await ports.batch.describe(children)) == set(children)


async def test_the_children_of_what_is_no_array_cannot_be_listed(ports: Ports) -> None:
    job_id = await ports.batch.submit(submission())
    for other in (job_id, UNKNOWN):
        with pytest.raises(Refused):
            await ports.batch.failed_children(other)


async def test_many_failed_children_come_page_by_page(ports: Ports) -> None:
    size = 2 * LIST_JOBS_PAGE_MAX + 10
    job_id = await ports.batch.submit(submission(size=size))
    await ended(ports.batch, job_id)
    assert sorted(await ports.batch.failed_children(job_id)) == list(range(1, size, 2))


async def test_a_job_is_found_by_its_name_in_every_state(ports: Ports) -> None:
    job_id = await ports.batch.submit(submission("wf-one", size=2))
    assert await ports.batch.find("lane", "wf-one") == job_id
    await ended(ports.batch, job_id)
    assert await ports.batch.find("lane", "wf-one") == job_id


@pytest.mark.parametrize("name", ["wf-o", "wf-one-more", "WF-ONE", "wf-*"])
async def test_a_job_of_another_name_is_none(ports: Ports, name: str) -> None:
    await ports.batch.submit(submission("wf-one"))
    assert await ports.batch.find("lane", name) is None


async def test_of_two_jobs_of_one_name_the_newer_is_found(ports: Ports) -> None:
    await ports.batch.submit(submission("wf-one"))
    await asyncio.sleep(0.01)
    newer = await ports.batch.submit(submission("wf-one"))
    assert await ports.batch.find("lane", "wf-one") == newer


@pytest.mark.parametrize(
    "changes",
    [{"job_queue": "no-such-queue"}, {"job_definition": "no-such-definition"}, {"name": "no name"}],
    ids=str,
)
async def test_what_cannot_be_submitted_is_refused(ports: Ports, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        await ports.batch.submit(replace(submission(), **changes))
    assert await ports.batch.find("lane", "wf-order") is None


async def test_an_array_has_no_more_than_so_many_children(ports: Ports) -> None:
    with pytest.raises(Refused):
        await ports.batch.submit(submission(size=10_001))


async def test_a_queue_that_is_not_there_cannot_be_searched(ports: Ports) -> None:
    with pytest.raises(Refused):
        await ports.batch.find("no-such-queue", "wf-order")


async def test_what_is_registered_is_told(ports: Ports) -> None:
    found = await ports.batch.registration("lane", "lane")
    assert found.shape is not None
    assert found.shape.vcpus > 0
    assert found.shape.memory_mib > 0
    assert found.instance_types is not None
    assert all(types for types in found.instance_types.values())
    same = await ports.batch.registration("lane", "lane:1")
    assert same == found
    missing = await ports.batch.registration("no-such-queue", "no-such-definition")
    assert (missing.shape, missing.instance_types) == (None, None)
    missing = await ports.batch.registration("lane", "lane:99")
    assert missing.shape is None


async def test_bounds_are_those_of_an_environment_that_is_there(ports: Ports) -> None:
    before = (await ports.batch.fleets(["lane"]))["lane"]
    await ports.batch.set_bounds("lane", 4, before.max_vcpus)
    found = await ports.batch.fleets(["lane", "no-such-environment", "lane"])
    assert set(found) == {"lane"}
    assert (found["lane"].min_vcpus, found["lane"].max_vcpus) == (4, before.max_vcpus)
    assert found["lane"].desired_vcpus >= 4
    assert found["lane"].fault == ""
    with pytest.raises(Refused):
        await ports.batch.set_bounds("no-such-environment", 4, 8)
    with pytest.raises(Refused):
        await ports.batch.set_bounds("lane", 8, 4)
    await ports.batch.set_bounds("lane", 0, before.max_vcpus)
