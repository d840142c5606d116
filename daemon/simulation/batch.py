"""AWS Batch in memory: `AwsBatch` itself, over a client that asks the embedded Batch's model."""

import json
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from daemon.embedded.batch.driver import Driver
from daemon.embedded.batch.operations import perform
from daemon.embedded.refusals import RefusedError
from daemon.ports import Throttled, Unavailable
from daemon.simulation.clock import unix_seconds
from daemon.simulation.line import Line


class ModelClient:
    """The calls of a boto client that `AwsBatch` makes, by one process's line."""

    def __init__(self, driver: Driver, line: Line) -> None:
        self._driver = driver
        self._line = line

    async def submit_job(self, **request: Any) -> dict[str, Any]:
        """SubmitJob."""
        return await self._perform("SubmitJob", request)

    async def describe_jobs(self, **request: Any) -> dict[str, Any]:
        """DescribeJobs."""
        return await self._perform("DescribeJobs", request)

    async def list_jobs(self, **request: Any) -> dict[str, Any]:
        """ListJobs."""
        return await self._perform("ListJobs", request)

    async def describe_job_definitions(self, **request: Any) -> dict[str, Any]:
        """DescribeJobDefinitions."""
        return await self._perform("DescribeJobDefinitions", request)

    async def describe_job_queues(self, **request: Any) -> dict[str, Any]:
        """DescribeJobQueues."""
        return await self._perform("DescribeJobQueues", request)

    async def describe_compute_environments(self, **request: Any) -> dict[str, Any]:
        """DescribeComputeEnvironments."""
        return await self._perform("DescribeComputeEnvironments", request)

    async def update_compute_environment(self, **request: Any) -> dict[str, Any]:
        """UpdateComputeEnvironment."""
        return await self._perform("UpdateComputeEnvironment", request)

    async def _perform(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        def act() -> dict[str, Any]:
            payload_bytes = len(json.dumps(request))
            model = self._driver.model
            answer = perform(model, operation, request, payload_bytes, unix_seconds())
            self._driver.step()
            return answer

        try:
            return await self._line.call("batch", operation, act)
        except RefusedError as refusal:
            raise _error(refusal.code, str(refusal), refusal.http_status, operation) from refusal
        except Throttled as throttle:
            raise _error("TooManyRequestsException", throttle.cause, 429, operation) from throttle
        except Unavailable as failure:
            raise ReadTimeoutError(endpoint_url="https://batch") from failure


def _error(code: str, message: str, status: int, operation: str) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        operation,
    )
