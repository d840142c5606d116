from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import ClientSession
from botocore.exceptions import ClientError


async def refused(call: Awaitable[Any]) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as refusal:
        await call
    answer = refusal.value.response
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return answer["Error"]["Code"], status, answer["Error"]["Message"]


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda lab: lab.submit(arrayProperties={"size": 1}), "size is 1"),
        (lambda lab: lab.submit(arrayProperties={"size": 10_001}), "size is 10001"),
        (lambda lab: lab.submit(name="no spaces"), "jobName 'no spaces'"),
        (lambda lab: lab.submit(definition="unknown"), "Job definition 'unknown'"),
        (lambda lab: lab.submit(dependsOn=[{"jobId": "a"}]), "does not emulate dependsOn"),
        (lambda lab: lab.submit(timeout={"attemptDurationSeconds": 59}), "at least 60"),
        (lambda lab: lab.client.describe_jobs(jobs=["a"] * 101), "at most 100"),
        (lambda lab: lab.client.list_jobs(), "either jobQueue or arrayJobId"),
        (lambda lab: lab.client.list_jobs(jobQueue="unknown"), "Job queue 'unknown'"),
        (lambda lab: lab.client.list_jobs(arrayJobId="unknown"), "Array job 'unknown'"),
        (lambda lab: lab.client.list_jobs(jobQueue="queue", jobStatus="DONE"), "'DONE'"),
        (lambda lab: lab.client.list_jobs(jobQueue="queue", nextToken="x"), "nextToken"),
        (lambda lab: lab.furnish(), "'fleet' exists already"),
        (
            lambda lab: lab.client.list_tags_for_resource(
                resourceArn="arn:aws:batch:us-east-1:000000000000:job/unknown"
            ),
            "Resource 'arn:aws:batch",
        ),
        (
            lambda lab: lab.client.create_compute_environment(
                computeEnvironmentName="other",
                type="MANAGED",
                computeResources={"type": "EC2", "maxvCpus": 4, "instanceTypes": ["p5.48xlarge"]},
            ),
            "'p5.48xlarge' is not an Inf2 instance type",
        ),
    ],
)
async def test_what_batch_would_refuse_is_a_client_exception_that_says_why(
    lab: Any, call: Callable[[Any], Awaitable[Any]], complaint: str
) -> None:
    await lab.define("true")
    code, status, message = await refused(call(lab))
    assert (code, status) == ("ClientException", 400)
    assert complaint in message


async def test_a_disabled_queue_takes_no_jobs(lab: Any) -> None:
    await lab.define("true")
    await lab.client.create_job_queue(
        jobQueueName="closed",
        state="DISABLED",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "fleet"}],
    )
    submission = lab.client.submit_job(jobName="j", jobQueue="closed", jobDefinition="worker")
    code, _, message = await refused(submission)
    assert code == "ClientException"
    assert "closed is DISABLED" in message


async def test_more_than_fifty_tags_are_refused_and_none_is_added(lab: Any) -> None:
    arn = await lab.define("true", tags={"one": "more"})
    tags = {f"tag-{number}": "" for number in range(50)}
    code, _, message = await refused(lab.client.tag_resource(resourceArn=arn, tags=tags))
    assert (code, "51 tags" in message) == ("ClientException", True)
    answer = await lab.client.list_tags_for_resource(resourceArn=arn)
    assert answer["tags"] == {"one": "more"}


async def test_an_operation_that_is_not_emulated_says_so(lab: Any) -> None:
    code, status, message = await refused(lab.client.delete_job_queue(jobQueue="queue"))
    assert (code, status) == ("NotImplemented", 501)
    assert message.startswith("The embedded Batch does not emulate DeleteJobQueue.")


async def test_stopping_an_unknown_job_is_accepted(lab: Any) -> None:
    await lab.client.terminate_job(jobId="unknown", reason="not needed")
    await lab.client.cancel_job(jobId="unknown", reason="not needed")


async def test_a_request_for_another_service_is_refused(lab: Any) -> None:
    async with ClientSession() as session, session.get(lab.batch.endpoint_url + "/") as answer:
        assert answer.status == 404
        assert (await answer.json())["__type"] == "UnknownOperationException"
        assert answer.headers["x-amzn-ErrorType"] == "UnknownOperationException"


async def test_an_unreadable_request_is_refused(lab: Any) -> None:
    url = f"{lab.batch.endpoint_url}/v1/submitjob"
    async with ClientSession() as session, session.post(url, data=b"{") as answer:
        assert answer.status == 400
        assert "not JSON" in (await answer.json())["message"]
