"""The dispatcher's way to a Batch that throttles, and that knows new jobs only after a while."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from daemon.aws import calls
from daemon.aws.batch import AwsBatch
from daemon.aws.calls import Calls
from daemon.embedded.batch.throttle import Allowance
from daemon.metrics import Metrics
from daemon.ports import JobStatus, Submission, Throttled

ALLOWANCES = {
    "SubmitJob": Allowance(per_second=20, burst=2),
    "DescribeJobs": Allowance(per_second=1, burst=1),
    "ListJobs": Allowance(per_second=1, burst=1),
    "UpdateComputeEnvironment": Allowance(per_second=0, burst=0),
}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def lab(open_lab: Callable[..., Any]) -> AsyncIterator[Any]:
    async with open_lab(allowances=ALLOWANCES) as lab:
        await lab.define("true")
        lab.batch.set_out_of_capacity("fleet", True)
        yield lab


@pytest.fixture
def batch(lab: Any, metrics: Metrics) -> AwsBatch:
    return AwsBatch(lab.client, Calls(metrics.aws))


@pytest.fixture
def counted(metrics: Metrics) -> Callable[[str, str], float]:
    def counted(what: str, operation: str) -> float:
        labels = {"service": "batch", "operation": operation}
        name = f"whisper_fleet_aws_{what}_total"
        return metrics.registry.get_sample_value(name, labels) or 0.0

    return counted


def submission(name: str, size: int = 1) -> Submission:
    return Submission(name, "queue", "worker", size, {})


async def test_too_many_requests_are_answered_as_aws_answers_them(lab: Any) -> None:
    await lab.client.list_jobs(jobQueue="queue")
    with pytest.raises(ClientError) as refusal:
        await lab.client.list_jobs(jobQueue="queue")
    answer = refusal.value.response
    assert answer["Error"]["Code"] == "TooManyRequestsException"
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
    await lab.client.describe_job_queues()


async def test_throttled_submissions_all_arrive_and_arrive_once(
    lab: Any, batch: AwsBatch, counted: Any
) -> None:
    names = [f"order-{number}" for number in range(30)]
    job_ids = await asyncio.gather(*(batch.submit(submission(name)) for name in names))

    assert len(set(job_ids)) == 30
    assert lab.batch.figures().jobs_submitted == 30
    assert counted("throttles", "SubmitJob") > 0
    assert counted("calls", "SubmitJob") == 30 + counted("throttles", "SubmitJob")
    jobs = await batch.describe(job_ids)
    assert set(jobs) == set(job_ids)


async def test_a_throttle_costs_one_page_and_not_those_before_it(
    batch: AwsBatch, lab: Any, counted: Any
) -> None:
    job_id = await batch.submit(submission("order", size=1_100))
    await lab.client.cancel_job(jobId=job_id, reason="for the test")

    assert await batch.failed_children(job_id) == list(range(1_100))
    assert counted("throttles", "ListJobs") > 0
    assert counted("calls", "ListJobs") == 2 + counted("throttles", "ListJobs")

    children = [f"{job_id}:{index}" for index in range(250)]
    assert set(await batch.describe(children * 2)) == set(children)
    assert counted("throttles", "DescribeJobs") > 0
    assert counted("calls", "DescribeJobs") == 3 + counted("throttles", "DescribeJobs")


async def test_a_job_is_found_by_its_very_name(batch: AwsBatch) -> None:
    job_id = await batch.submit(submission("order-7F"))
    assert await batch.find("queue", "order-7f") is None
    assert await batch.find("queue", "order-7F") == job_id


async def test_who_is_throttled_for_too_long_is_told_so(
    batch: AwsBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "BUDGET_SECONDS", 0.5)
    with pytest.raises(Throttled):
        await batch.set_bounds("fleet", 4, 8)


async def test_a_new_job_is_known_only_after_a_while(open_lab: Callable[..., Any]) -> None:
    async with open_lab(visible_after_seconds=1.0) as lab:
        await lab.define("true")
        lab.batch.set_out_of_capacity("fleet", True)
        batch = AwsBatch(lab.client)
        job_id = await batch.submit(submission("order", size=2))
        child_id = f"{job_id}:0"
        assert await batch.describe([job_id, child_id]) == {}
        assert await batch.find("queue", "order") is None
        with pytest.raises(ClientError, match="does not exist"):
            await lab.client.list_jobs(arrayJobId=job_id)

        async with asyncio.timeout(10):
            while not (jobs := await batch.describe([job_id, child_id])):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert jobs[job_id].children == {JobStatus.RUNNABLE: 2}
        assert set(jobs) == {job_id, child_id}
        assert await batch.find("queue", "order") == job_id
