"""Our Batch against botocore's model of it: every answer, as a client of boto reads it.

The service never answers with what is not of its shapes (daemon/embedded/shapes.py). Here the same
is looked at from outside, and that what must be in an answer is there.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import Any

import boto3
from botocore.validate import ParamValidator

from daemon.embedded.batch.operations import OPERATIONS
from daemon.embedded.batch.service import EmbeddedBatch
from tests.running import wait_until

LEFT_OUT = {"startedAt"}
"""Members that botocore calls required and AWS leaves out while there is nothing to say."""

FLEET = {"type": "EC2", "maxvCpus": 4, "instanceTypes": ["inf2.xlarge"], "subnets": ["subnet"]}
HALF = [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "6900"}]
TAGS = {"team": "speech"}


class Watched:
    """A client of Batch that looks at every answer before it hands it on."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._methods = {api: name for name, api in client.meta.method_to_api_mapping.items()}
        self.answered: set[str] = set()

    def __call__(self, operation: str, **parameters: Any) -> dict[str, Any]:
        answer = dict(getattr(self._client, self._methods[operation])(**parameters))
        del answer["ResponseMetadata"]
        shape = self._client.meta.service_model.operation_model(operation).output_shape
        for member in LEFT_OUT:
            _fill_in(answer, member)
        report = ParamValidator().validate(answer, shape)
        assert not report.has_errors(), f"{operation}: {report.generate_report()}"
        self.answered.add(operation)
        return answer


def _fill_in(answer: dict[str, Any], member: str) -> None:
    for job in (*answer.get("jobs", ()), *answer.get("jobSummaryList", ())):
        job.setdefault(member, 0)


def walk(ask: Watched) -> None:
    """Ask for every operation that is emulated, in the course of one fleet's life."""
    ask(
        "CreateComputeEnvironment",
        computeEnvironmentName="fleet",
        type="MANAGED",
        computeResources=FLEET,
    )
    ask("UpdateComputeEnvironment", computeEnvironment="fleet", computeResources={"maxvCpus": 8})
    assert ask("DescribeComputeEnvironments")["computeEnvironments"]
    order = [{"order": 1, "computeEnvironment": "fleet"}]
    ask("CreateJobQueue", jobQueueName="queue", priority=1, computeEnvironmentOrder=order)
    assert ask("DescribeJobQueues")["jobQueues"]
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    definition = ask(
        "RegisterJobDefinition",
        jobDefinitionName="worker",
        type="container",
        containerProperties={"image": "image", "command": command, "resourceRequirements": HALF},
        retryStrategy={"attempts": 2},
        tags=TAGS,
    )["jobDefinitionArn"]
    assert ask("DescribeJobDefinitions")["jobDefinitions"]
    ask("TagResource", resourceArn=definition, tags={"cost": "7"})
    ask("UntagResource", resourceArn=definition, tagKeys=["cost"])
    assert ask("ListTagsForResource", resourceArn=definition)["tags"] == TAGS
    job = {"jobName": "job", "jobQueue": "queue", "jobDefinition": "worker"}
    array = ask("SubmitJob", **job, arrayProperties={"size": 3})["jobId"]
    single = ask("SubmitJob", **job)["jobId"]

    def failed() -> bool:
        jobs = ask("DescribeJobs", jobs=[array, f"{array}:2", single])["jobs"]
        assert len(jobs) == 3
        return all(job["status"] == "FAILED" for job in jobs)

    wait_until("all jobs have ended", failed)
    children = ask("ListJobs", arrayJobId=array, jobStatus="FAILED")
    assert len(children["jobSummaryList"]) == 3
    ask("ListJobs", jobQueue="queue", filters=[{"name": "JOB_NAME", "values": ["job"]}])
    ask("CancelJob", jobId=single, reason="not needed")
    ask("TerminateJob", jobId=single, reason="not needed")


async def test_every_answer_of_batch_is_what_botocore_expects(tmp_path: Path) -> None:
    service = EmbeddedBatch(
        log_folder=tmp_path, environment={"PATH": os.environ["PATH"]}, boot_seconds=0.0
    )
    async with service:
        client = boto3.client(
            "batch",
            endpoint_url=service.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id="anything",
            aws_secret_access_key="anything",
        )
        ask = Watched(client)
        await asyncio.to_thread(walk, ask)
    assert ask.answered == OPERATIONS.keys()
