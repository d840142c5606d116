"""The dispatcher's ports of both kinds: simulated, and over the wire to the small cloud's services.

Behind both are the same models of SQS and Batch; S3 is moto's server over the wire, and a dict in
the simulation. What is looked at here is the way between a port and its service: batches, partial
failures, refusals, what is retried.
"""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from daemon.aws.batch import AwsBatch
from daemon.aws.queue import SqsQueue
from daemon.aws.store import S3Store
from daemon.embedded.batch.arns import Arns
from daemon.embedded.batch.driver import Driver
from daemon.embedded.batch.effects import Run, StopSignal
from daemon.embedded.batch.executor import Exit
from daemon.embedded.batch.model import BatchModel
from daemon.embedded.batch.operations import perform
from daemon.embedded.batch.pace import Pace
from daemon.embedded.batch.service import EmbeddedBatch
from daemon.embedded.sqs.queue import Queue as QueueModel
from daemon.embedded.sqs.service import EmbeddedSqs
from daemon.ports import Batch, Queue, Store
from daemon.simulation import clock
from daemon.simulation.batch import ModelClient
from daemon.simulation.queue import SharedQueue, SimulatedQueue
from daemon.simulation.store import Objects, SimulatedStore
from tests.scripted_services import ScriptedLine

HALF = [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "6900"}]
LANE: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "CreateComputeEnvironment",
        {
            "computeEnvironmentName": "lane",
            "type": "MANAGED",
            "computeResources": {
                "type": "EC2",
                "minvCpus": 0,
                "maxvCpus": 400,
                "instanceTypes": ["inf2.xlarge"],
                "subnets": ["subnet"],
                "instanceRole": "role",
            },
        },
    ),
    (
        "CreateJobQueue",
        {
            "jobQueueName": "lane",
            "priority": 1,
            "computeEnvironmentOrder": [{"order": 1, "computeEnvironment": "lane"}],
        },
    ),
    (
        "RegisterJobDefinition",
        {
            "jobDefinitionName": "lane",
            "type": "container",
            "containerProperties": {
                "image": "worker",
                "command": ["worker"],
                "resourceRequirements": HALF,
            },
        },
    ),
)
"""A compute environment, a job queue and a job definition, as they are asked for."""

SESSION = get_session()
"""Of all clients: it keeps the services' descriptions, which take long to read."""

IN_FLIGHT_MAX = 12
EXIT_CODE = 3


class Failing:
    """An executor whose attempts end at once: those of odd array children with an exit code."""

    async def start(self, run: Run) -> "Ended":
        """Start an attempt."""
        return Ended(Exit(EXIT_CODE if (run.array_index or 0) % 2 else 0))

    async def close(self) -> None:
        """Nothing is left."""


class Ended:
    """An attempt that has ended."""

    def __init__(self, end: Exit) -> None:
        self._end = end

    async def wait(self) -> Exit:
        """How."""
        return self._end

    def signal(self, stop_signal: StopSignal) -> None:
        """Nothing."""


class Ports(Protocol):
    """Where a case finds its ports; nothing is in them but what it puts there."""

    @property
    def store(self) -> Store:
        """S3 with the bucket `ledger`."""

    @property
    def queue(self) -> Queue:
        """A queue of its own."""

    @property
    def batch(self) -> Batch:
        """Batch with one lane, `lane`."""

    async def wait(self, seconds: float) -> None:
        """Let time pass at the queue."""


class SimulatedPorts:
    """As simulations have them; made when they are asked for, because only then time is virtual."""

    def __init__(self) -> None:
        self._line = ScriptedLine("case")

    @cached_property
    def store(self) -> Store:
        """S3."""
        return SimulatedStore(Objects(), self._line)

    @cached_property
    def queue(self) -> Queue:
        """A queue."""
        arn = "arn:aws:sqs:us-east-1:000000000000:queue"
        model = QueueModel(arn, random.Random(0), in_flight_max=IN_FLIGHT_MAX)
        return SimulatedQueue(SharedQueue(model), self._line)

    @cached_property
    def batch(self) -> Batch:
        """Batch."""
        model = BatchModel(Pace(boot_seconds=0.0), Arns(), random.Random(0))
        for operation, request in LANE:
            perform(model, operation, request, 0, clock.unix_seconds())
        driver = Driver(model, Failing(), clock.unix_seconds)
        return AwsBatch(ModelClient(driver, self._line))

    async def wait(self, seconds: float) -> None:
        """Virtual time."""
        await asyncio.sleep(seconds)


class WirePorts:
    """As the daemon has them."""

    def __init__(self, store: Store, queue: Queue, batch: Batch, skip: Callable[[float], None]):
        self.store = store
        self.queue = queue
        self.batch = batch
        self._skip = skip

    async def wait(self, seconds: float) -> None:
        """The queue's clock jumps."""
        self._skip(seconds)


@asynccontextmanager
async def wire_ports(s3_url: str, folder: Path) -> AsyncIterator[WirePorts]:
    """Services that are up while the block runs."""
    skipped_seconds = 0.0

    def skip(seconds: float) -> None:
        nonlocal skipped_seconds
        skipped_seconds += seconds

    async with AsyncExitStack() as stack:
        sqs_service = await stack.enter_async_context(
            EmbeddedSqs(clock=lambda: time.time() + skipped_seconds, in_flight_max=IN_FLIGHT_MAX)
        )
        batch_service = await stack.enter_async_context(
            EmbeddedBatch(log_folder=folder, environment={}, executor=Failing(), boot_seconds=0.0)
        )

        async def client(service: str, url: str) -> Any:
            return await stack.enter_async_context(
                SESSION.create_client(
                    service,
                    endpoint_url=url,
                    region_name="us-east-1",
                    aws_access_key_id="anything",
                    aws_secret_access_key="anything",
                    config=AioConfig(retries={"total_max_attempts": 1}),
                )
            )

        s3 = await client("s3", s3_url)
        sqs = await client("sqs", sqs_service.endpoint_url)
        batch = await client("batch", batch_service.endpoint_url)
        await s3.create_bucket(Bucket="ledger")
        url = (await sqs.create_queue(QueueName=f"queue-{uuid4()}"))["QueueUrl"]
        methods = {api: name for name, api in batch.meta.method_to_api_mapping.items()}
        for operation, request in LANE:
            await getattr(batch, methods[operation])(**request)
        yield WirePorts(S3Store(s3), SqsQueue(sqs, url), AwsBatch(batch), skip)


def body(number: int) -> str:
    """A message's."""
    return json.dumps({"number": number})
