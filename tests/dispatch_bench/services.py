"""The services of a run: SQS, Batch and S3 over HTTP, in this process, and what is asked of them.

Calls are counted where they arrive, so a call that is made again counts again.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import boto3

from daemon.embedded.batch.service import EmbeddedBatch
from daemon.embedded.event_rule import job_end_rule
from daemon.embedded.sqs.messages import Counts
from daemon.embedded.sqs.model import Account
from daemon.embedded.sqs.service import EmbeddedSqs
from daemon.settings import Settings, load
from daemon.simulation.store import Objects
from neuron_worker.contract import Ledger, S3Uri
from tests.dispatch_bench.process import ROOT
from tests.dispatch_bench.s3 import SmallS3
from tests.dispatch_bench.workers import InstantExecutor

SETTINGS_FILE = ROOT / "config" / "daemon.toml"
"""The daemon runs with the settings that are shipped: only addresses and its port are others."""

ACCOUNT = Account()
REQUESTS, DEAD_LETTERS, EVENTS = "requests", "dead-letters", "events"

Calls = Counter[tuple[str, str]]
"""How often each operation of a service was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """A cloud with the lane of the shipped settings."""

    calls: Calls
    sqs: EmbeddedSqs
    batch: EmbeddedBatch
    objects: Objects
    settings: Settings
    environment: Mapping[str, str]
    """What a process needs to find all this."""

    def send(self, bodies: Iterable[str]) -> None:
        """Put messages on the request queue."""
        for body in bodies:
            self.sqs.deliver(ACCOUNT.arn(REQUESTS), body)

    @property
    def waiting(self) -> Counts:
        """The messages of the request queue."""
        return self.sqs.counts(ACCOUNT.arn(REQUESTS))

    @property
    def open_orders(self) -> int:
        """The orders that are not closed."""
        ledger = Ledger(S3Uri.parse(self.settings.locations.ledger))
        return len(self.objects.list(ledger.open_orders()))

    def queue_url(self, name: str) -> str:
        """A queue's address."""
        return f"{self.sqs.endpoint_url}/{ACCOUNT.number}/{name}"


@asynccontextmanager
async def open_services(folder: Path, boot_seconds: float = 0.0) -> AsyncIterator[Services]:
    """Run them while the block runs; workers take no time, once an instance has booted."""
    settings = load(SETTINGS_FILE)
    calls: Calls = Counter()
    objects = Objects()

    def counting(service: str) -> Callable[[str], None]:
        def heard(operation: str) -> None:
            calls[service, operation] += 1

        return heard

    async with EmbeddedSqs(account=ACCOUNT, heard=counting("sqs")) as sqs:
        ring = partial(sqs.deliver, ACCOUNT.arn(EVENTS))
        async with (
            EmbeddedBatch(
                log_folder=folder,
                environment={},
                boot_seconds=boot_seconds,
                notify=job_end_rule(sqs.deliver, ACCOUNT.arn(EVENTS)),
                heard=counting("batch"),
                executor=InstantExecutor(objects, ring),
            ) as batch,
            SmallS3(objects, counting("s3")) as s3,
        ):
            services = Services(
                calls=calls,
                sqs=sqs,
                batch=batch,
                objects=objects,
                settings=settings,
                environment=_environment(sqs, batch, s3),
            )
            await asyncio.to_thread(_furnish, services)
            calls.clear()
            yield services


def _environment(sqs: EmbeddedSqs, batch: EmbeddedBatch, s3: SmallS3) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL_SQS": sqs.endpoint_url,
        "AWS_ENDPOINT_URL_BATCH": batch.endpoint_url,
        "AWS_ENDPOINT_URL_S3": s3.endpoint_url,
        "AWS_ACCESS_KEY_ID": "bench",
        "AWS_SECRET_ACCESS_KEY": "bench",
        "AWS_DEFAULT_REGION": ACCOUNT.region,
        "AWS_REGION": ACCOUNT.region,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        **{
            f"WHISPER_FLEET_QUEUES__{name.replace('-', '_').upper()}": (
                f"{sqs.endpoint_url}/{ACCOUNT.number}/{name}"
            )
            for name in (REQUESTS, DEAD_LETTERS, EVENTS)
        },
        "WHISPER_FLEET_MONITOR__PORT": "0",
    }


def _furnish(services: Services) -> None:
    """Make the queues and the lane that a stack would bring."""
    session = boto3.Session("bench", "bench", region_name=ACCOUNT.region)
    sqs = session.client("sqs", endpoint_url=services.sqs.endpoint_url)
    for name in (REQUESTS, DEAD_LETTERS, EVENTS):
        sqs.create_queue(QueueName=name)
    batch = session.client("batch", endpoint_url=services.batch.endpoint_url)
    lane = services.settings.lanes[0]
    batch.create_compute_environment(
        computeEnvironmentName=lane.compute_environment,
        type="MANAGED",
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": lane.max_vcpus,
            "instanceTypes": [lane.instance_type],
            "subnets": ["subnet-bench"],
            "instanceRole": "bench",
        },
    )
    batch.create_job_queue(
        jobQueueName=lane.job_queue,
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": lane.compute_environment}],
    )
    size = lane.instance
    batch.register_job_definition(
        jobDefinitionName=lane.job_definition,
        type="container",
        containerProperties={
            "image": "worker",
            "command": ["worker"],
            "resourceRequirements": [
                {"type": "VCPU", "value": str(size.slot_vcpus)},
                {"type": "MEMORY", "value": str(size.slot_memory_mib)},
            ],
        },
    )
