"""How fast each API is called: a token bucket whose rate adapts to what the service bears.

Additive increase, multiplicative decrease, as TCP does it (Chiu and Jain, 1989): the rate is halved
when a call is throttled and grows a little with every call that is not, up to a ceiling. All time
is the running event loop's.
"""

import asyncio
import math
from collections.abc import Mapping

import structlog

from daemon.aws import limits

log = structlog.get_logger()

CEILINGS: Mapping[tuple[str, str], float] = {
    ("batch", "SubmitJob"): limits.SUBMIT_JOB_PER_SECOND,
    ("batch", "DescribeJobs"): limits.DESCRIBE_JOBS_PER_SECOND,
    ("batch", "ListJobs"): limits.LIST_JOBS_PER_SECOND,
    ("batch", "DescribeComputeEnvironments"): limits.DESCRIBE_COMPUTE_ENVIRONMENTS_PER_SECOND,
    ("batch", "DescribeJobDefinitions"): limits.DESCRIBE_REGISTERED_PER_SECOND,
    ("batch", "DescribeJobQueues"): limits.DESCRIBE_REGISTERED_PER_SECOND,
    ("batch", "UpdateComputeEnvironment"): limits.UPDATE_COMPUTE_ENVIRONMENT_PER_SECOND,
    ("s3", "GetObject"): limits.S3_READS_PER_SECOND,
    ("s3", "ListObjectsV2"): limits.S3_READS_PER_SECOND,
    ("s3", "PutObject"): limits.S3_WRITES_PER_SECOND,
    ("s3", "DeleteObject"): limits.S3_WRITES_PER_SECOND,
    ("sqs", "ReceiveMessage"): limits.SQS_CALLS_PER_SECOND,
    ("sqs", "SendMessageBatch"): limits.SQS_CALLS_PER_SECOND,
    ("sqs", "DeleteMessageBatch"): limits.SQS_CALLS_PER_SECOND,
    ("sqs", "ChangeMessageVisibilityBatch"): limits.SQS_CALLS_PER_SECOND,
    ("sqs", "GetQueueAttributes"): limits.SQS_CALLS_PER_SECOND,
}
"""Calls per second that one daemon makes at most, by service and operation."""

BURST_SECONDS = 0.5
"""A full bucket holds so many seconds' calls, one at least."""

DECREASE = 0.5
INCREASE_SHARE = 0.01
"""Of the ceiling, for each call that is not throttled: a hundred of them, and all is as it was."""

FLOOR_SHARE = 0.02
"""Of the ceiling: the slowest rate, at which the service is still asked whether it is well."""

WHOLE = 0.999
"""What counts as one token: clocks round, and a wait for the rest of it would never end."""


class Rate:
    """One API's rate, shared by all its callers of one process."""

    def __init__(self, service: str, operation: str, ceiling_per_second: float) -> None:
        self.per_second = ceiling_per_second
        self._service = service
        self._operation = operation
        self._ceiling = ceiling_per_second
        self._burst = max(1.0, ceiling_per_second * BURST_SECONDS)
        self._tokens = self._burst
        self._filled_at = -math.inf
        self._slowed_at = -math.inf
        self._line = asyncio.Lock()

    async def turn(self) -> None:
        """Wait until a call may be made: first come, first served. May be cancelled."""
        async with self._line:
            while self._fill() < WHOLE:  # noqa: ASYNC110 - the rate may change meanwhile
                await asyncio.sleep((1.0 - self._tokens) / self.per_second)
            self._tokens -= 1.0

    def speed_up(self) -> None:
        """A call was not throttled."""
        self._fill()
        self.per_second = min(self._ceiling, self.per_second + self._ceiling * INCREASE_SHARE)

    def slow_down(self, called_at: float) -> None:
        """A call made at that time was throttled.

        Those that were under way together are throttled together, for one and the same excess:
        calls that were made before the rate was last lowered do not lower it again.
        """
        if called_at <= self._slowed_at:
            return
        self._slowed_at = asyncio.get_running_loop().time()
        self._fill()
        self._tokens = min(self._tokens, 0.0)
        self.per_second = max(self._ceiling * FLOOR_SHARE, self.per_second * DECREASE)
        log.warning(
            "aws_throttled",
            service=self._service,
            operation=self._operation,
            calls_per_second=round(self.per_second, 3),
        )

    def _fill(self) -> float:
        now = asyncio.get_running_loop().time()
        added = (now - self._filled_at) * self.per_second
        self._tokens = min(self._burst, self._tokens + added)
        self._filled_at = now
        return self._tokens
