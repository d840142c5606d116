"""AWS Batch behind the dispatcher's `Batch` port."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from daemon.aws.calls import Calls
from daemon.aws.limits import DESCRIBE_ENVIRONMENTS_MAX, DESCRIBE_JOBS_MAX
from daemon.ports import Fleet, Job, JobEnd, JobShape, JobStatus, Registration, Submission


class AwsBatch:
    """Jobs and compute environments of one account and region."""

    def __init__(self, batch: Any, calls: Calls | None = None) -> None:
        self._batch = batch
        self._calls = calls or Calls()

    async def submit(self, submission: Submission) -> str:
        """Submit a job, an array when it has more than one child; returns its id.

        SubmitJob knows no token against repeats: when no answer came, find out by `find`.
        """
        request: dict[str, Any] = {
            "jobName": submission.name,
            "jobQueue": submission.job_queue,
            "jobDefinition": submission.job_definition,
            "containerOverrides": {
                "environment": [
                    {"name": name, "value": value} for name, value in submission.environment.items()
                ]
            },
            "propagateTags": True,
        }
        if submission.size > 1:
            request["arrayProperties"] = {"size": submission.size}
        answer = await self._calls.make(
            "batch", "SubmitJob", lambda: self._batch.submit_job(**request), repeatable=False
        )
        return str(answer["jobId"])

    async def describe(self, job_ids: Iterable[str]) -> dict[str, Job]:
        """The jobs that Batch knows, by id; an expired or very new one may be missing."""
        ids = list(dict.fromkeys(job_ids))
        jobs: dict[str, Job] = {}
        for start in range(0, len(ids), DESCRIBE_JOBS_MAX):
            some = ids[start : start + DESCRIBE_JOBS_MAX]
            answer = await self._calls.make(
                "batch", "DescribeJobs", partial(self._batch.describe_jobs, jobs=some)
            )
            jobs.update({detail["jobId"]: _job(detail) for detail in answer["jobs"]})
        return jobs

    async def failed_children(self, job_id: str) -> list[int]:
        """Indexes of an array's failed children."""
        return [
            int(summary["jobId"].rpartition(":")[2])
            for summary in await self._listed(arrayJobId=job_id, jobStatus=JobStatus.FAILED.value)
        ]

    async def find(self, job_queue: str, name: str) -> str | None:
        """The id of the newest job of that name, in any state; None where there is none.

        Batch's filter does not tell upper from lower case
        (docs.aws.amazon.com/batch/latest/APIReference/API_ListJobs.html); names here do.
        """
        found = await self._listed(
            jobQueue=job_queue, filters=[{"name": "JOB_NAME", "values": [name]}]
        )
        same = (summary for summary in found if summary["jobName"] == name)
        newest = max(same, key=lambda summary: summary["createdAt"], default=None)
        return None if newest is None else str(newest["jobId"])

    async def registration(self, job_queue: str, job_definition: str) -> Registration:
        """What is registered under these names or ARNs."""
        named: dict[str, Any] = (
            {"jobDefinitions": [job_definition]}
            if ":" in job_definition
            else {"jobDefinitionName": job_definition, "status": "ACTIVE"}
        )
        definitions = await self._described(
            "DescribeJobDefinitions", self._batch.describe_job_definitions, named, "jobDefinitions"
        )
        queues = await self._described(
            "DescribeJobQueues",
            self._batch.describe_job_queues,
            {"jobQueues": [job_queue]},
            "jobQueues",
        )
        active = [one for one in definitions if one.get("status") == "ACTIVE"]
        newest = max(active, key=lambda one: one["revision"], default=None)
        return Registration(
            None if newest is None else _shape(newest),
            await self._instance_types(queues[0]) if queues else None,
        )

    async def _instance_types(self, queue: dict[str, Any]) -> dict[str, tuple[str, ...]]:
        names = [one["computeEnvironment"] for one in queue["computeEnvironmentOrder"]]
        environments = await self._described(
            "DescribeComputeEnvironments",
            self._batch.describe_compute_environments,
            {"computeEnvironments": names},
            "computeEnvironments",
        )
        return {
            one["computeEnvironmentName"]: tuple(
                one.get("computeResources", {}).get("instanceTypes", ())
            )
            for one in environments
        }

    async def _described(
        self, operation: str, call: Any, request: dict[str, Any], key: str
    ) -> list[dict[str, Any]]:
        """All pages of a description."""
        found: list[dict[str, Any]] = []
        token: dict[str, str] = {}
        while True:
            answer = await self._calls.make("batch", operation, partial(call, **request, **token))
            found += answer[key]
            if not answer.get("nextToken"):
                return found
            token = {"nextToken": answer["nextToken"]}

    async def fleets(self, compute_environments: Iterable[str]) -> dict[str, Fleet]:
        """The instances of compute environments, by the names they were asked for; one that is not
        there is missing."""
        names = list(dict.fromkeys(compute_environments))
        fleets: dict[str, Fleet] = {}
        for start in range(0, len(names), DESCRIBE_ENVIRONMENTS_MAX):
            some = names[start : start + DESCRIBE_ENVIRONMENTS_MAX]
            found = await self._described(
                "DescribeComputeEnvironments",
                self._batch.describe_compute_environments,
                {"computeEnvironments": some},
                "computeEnvironments",
            )
            for detail in found:
                called = (detail["computeEnvironmentName"], detail["computeEnvironmentArn"])
                fleets.update({name: _fleet(detail) for name in called if name in some})
        return fleets

    async def set_bounds(self, compute_environment: str, min_vcpus: int, max_vcpus: int) -> None:
        """Keep at least `min_vcpus` up and launch no more than `max_vcpus`, from now on."""
        await self._calls.make(
            "batch",
            "UpdateComputeEnvironment",
            lambda: self._batch.update_compute_environment(
                computeEnvironment=compute_environment,
                computeResources={"minvCpus": min_vcpus, "maxvCpus": max_vcpus},
            ),
        )

    async def _listed(self, **request: Any) -> list[dict[str, Any]]:
        """All pages, each a call of its own: a throttle in the middle costs one page."""
        return await self._described("ListJobs", self._batch.list_jobs, request, "jobSummaryList")


def _shape(definition: dict[str, Any]) -> JobShape:
    container = definition.get("containerProperties", {})
    asked = {one["type"]: one["value"] for one in container.get("resourceRequirements", ())}
    variables = {one["name"]: one.get("value") for one in container.get("environment", ())}
    return JobShape(
        float(asked.get("VCPU", container.get("vcpus", 0))),
        int(asked.get("MEMORY", container.get("memory", 0))),
        variables.get("NEURON_RT_NUM_CORES"),
    )


def _fleet(detail: dict[str, Any]) -> Fleet:
    resources = detail.get("computeResources", {})
    usable = detail.get("state") == "ENABLED" and detail.get("status") != "INVALID"
    return Fleet(
        resources.get("minvCpus", 0),
        resources.get("maxvCpus", 0),
        resources.get("desiredvCpus", 0),
        "" if usable else detail.get("statusReason") or "it is disabled or invalid",
    )


def _job(detail: dict[str, Any]) -> Job:
    container = detail.get("container", {})
    return Job(
        job_id=detail["jobId"],
        status=JobStatus(detail["status"]),
        end=JobEnd(
            exit_code=container.get("exitCode"),
            container_reason=container.get("reason", ""),
            status_reason=detail.get("statusReason", ""),
            attempts=len(detail.get("attempts", [])),
        ),
        children={
            JobStatus(status): count
            for status, count in detail.get("arrayProperties", {}).get("statusSummary", {}).items()
            if count
        },
        log_stream=container.get("logStreamName", ""),
    )
