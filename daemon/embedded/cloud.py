"""The small cloud: SQS, S3 and Batch on one machine, over real HTTP.

S3 is `daemon.embedded.s3`, SQS `daemon.embedded.sqs` and Batch `daemon.embedded.batch`. S3's event
notifications reach SQS through `daemon.embedded.notifications`, which takes the place of moto's own
in this process. Inside `small_cloud` the usual AWS variables of this process point at it, so every
client made there is the one of production.

Departures from AWS: one account, any credentials, one cloud at a time in a process, and nothing
survives it.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemon import catalogue
from daemon.aws.clients import Clients, connect
from daemon.embedded.batch.service import EmbeddedBatch
from daemon.embedded.event_rule import job_end_rule
from daemon.embedded.notifications import Deliver, s3_notifications
from daemon.embedded.s3 import EmbeddedS3
from daemon.embedded.sqs.limits import RECEIVES_MAX
from daemon.embedded.sqs.model import Account
from daemon.embedded.sqs.service import EmbeddedSqs
from daemon.settings import ENVIRONMENT_PREFIX

HOST = "127.0.0.1"
REGION = "us-east-1"
INSTANCE = catalogue.instance_type("inf2.xlarge")

REQUESTS_QUEUE = "whisper-fleet-requests"
DEAD_LETTERS_QUEUE = "whisper-fleet-dead-letters"
EVENTS_QUEUE = "whisper-fleet-events"
INPUT_BUCKET = "recordings"
OUTPUT_BUCKET = "transcripts"
LEDGER_BUCKET = "ledger"

BOOT_SECONDS = 0.5
"""Long enough to be seen, short enough for a demo; EC2 takes minutes."""

JOB_TIMEOUT_SECONDS = 6 * 3600


@dataclass(frozen=True, slots=True)
class Services:
    """What answers; each alone, or all of them, can be cut off and restored."""

    s3: EmbeddedS3
    sqs: EmbeddedSqs
    batch: EmbeddedBatch

    async def cut_off(self) -> None:
        """Break all connections and refuse new ones. No state is lost, and jobs run on."""
        await asyncio.gather(self.s3.cut_off(), self.sqs.cut_off(), self.batch.cut_off())

    async def restore(self) -> None:
        """Answer again, where they did before."""
        await asyncio.gather(self.s3.restore(), self.sqs.restore(), self.batch.restore())


@dataclass(frozen=True, slots=True)
class SmallCloud:
    """What was set up, by name."""

    requests_url: str
    dead_letters_url: str
    events_url: str
    job_queue: str
    job_definition: str
    compute_environment: str
    max_vcpus: int
    services: Services
    environment: Mapping[str, str]


@asynccontextmanager
async def small_cloud(*, cores: int, model: str, work_folder: Path) -> AsyncIterator[SmallCloud]:
    """Run the cloud with so many NeuronCores and workers of one model; job logs go to the folder.

    `cores` must be even: instances are `inf2.xlarge`, one chip of two cores each.
    """
    account = Account(region=REGION)
    async with EmbeddedS3(host=HOST) as s3, EmbeddedSqs(host=HOST, account=account) as sqs:
        environment = aws_variables(s3.endpoint_url, sqs.endpoint_url)
        threads = max(1, len(os.sched_getaffinity(0)) // cores)
        async with EmbeddedBatch(
            host=HOST,
            log_folder=work_folder / "jobs",
            environment=_worker_environment(environment, threads),
            boot_seconds=BOOT_SECONDS,
            notify=job_end_rule(sqs.deliver, account.arn(EVENTS_QUEUE)),
        ) as batch:
            environment["AWS_ENDPOINT_URL_BATCH"] = batch.endpoint_url
            with _process_environment(environment), s3_notifications(_to_queues_of(sqs)):
                async with connect() as clients:
                    services = Services(s3, sqs, batch)
                    cloud = await _furnish(clients, services, cores, model, environment)
                yield cloud


def _to_queues_of(sqs: EmbeddedSqs) -> Deliver:
    """moto's S3 runs in threads of its own, the queues in this one's loop."""
    loop = asyncio.get_running_loop()

    def deliver(queue_arn: str, body: str) -> None:
        loop.call_soon_threadsafe(sqs.deliver, queue_arn, body)

    return deliver


def aws_variables(s3_url: str, sqs_url: str) -> dict[str, str]:
    """What a process needs to speak to these services, whatever account its shell is set up for."""
    return {
        "AWS_ENDPOINT_URL": s3_url,
        "AWS_ENDPOINT_URL_SQS": sqs_url,
        "AWS_ACCESS_KEY_ID": "embedded",
        "AWS_SECRET_ACCESS_KEY": "embedded",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": HOST,
    }


def _worker_environment(aws: Mapping[str, str], threads: int) -> dict[str, str]:
    """What a worker process finds besides its job definition's variables."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, **aws, "WHISPER_FLEET_THREADS": str(threads)}


@contextmanager
def _process_environment(wanted: Mapping[str, str]) -> Iterator[None]:
    """This process speaks to the small cloud, whatever account its shell was set up for."""
    before = dict(os.environ)
    for name in before:
        if name.startswith(("AWS_", ENVIRONMENT_PREFIX)):
            del os.environ[name]
    os.environ.update(wanted)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def _furnish(
    clients: Clients,
    services: Services,
    cores: int,
    model: str,
    environment: Mapping[str, str],
) -> SmallCloud:
    """Make the queues, the buckets and the lane that a stack would bring."""
    for bucket in (INPUT_BUCKET, OUTPUT_BUCKET, LEDGER_BUCKET):
        await clients.s3.create_bucket(Bucket=bucket)
    dead_letters_url, dead_letters_arn = await _queue(clients, DEAD_LETTERS_QUEUE, {})
    # The queue's own redrive must never beat the daemon's attempts; this only ends a true loop.
    redrive = {"deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": RECEIVES_MAX}
    requests_url, _ = await _queue(clients, REQUESTS_QUEUE, {"RedrivePolicy": json.dumps(redrive)})
    events_url, _ = await _queue(clients, EVENTS_QUEUE, {})
    max_vcpus = cores * INSTANCE.slot_vcpus
    lane = INSTANCE.name.replace(".", "-")
    await clients.batch.create_compute_environment(
        computeEnvironmentName=lane,
        type="MANAGED",
        computeResources={
            "type": "EC2",
            "minvCpus": 0,
            "maxvCpus": max_vcpus,
            "instanceTypes": [INSTANCE.name],
            "subnets": ["subnet-embedded"],
            "instanceRole": "embedded",
        },
    )
    await clients.batch.create_job_queue(
        jobQueueName=lane,
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": lane}],
    )
    definition = await clients.batch.register_job_definition(**_job_definition(lane, model))
    return SmallCloud(
        requests_url=requests_url,
        dead_letters_url=dead_letters_url,
        events_url=events_url,
        job_queue=lane,
        job_definition=definition["jobDefinitionArn"],
        compute_environment=lane,
        max_vcpus=max_vcpus,
        services=services,
        environment=environment,
    )


async def _queue(clients: Clients, name: str, attributes: Mapping[str, str]) -> tuple[str, str]:
    made = await clients.sqs.create_queue(QueueName=name, Attributes=dict(attributes))
    url = made["QueueUrl"]
    answer = await clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return url, answer["Attributes"]["QueueArn"]


def _job_definition(lane: str, model: str) -> dict[str, Any]:
    """Half an instance each: the only way that two jobs, never three, share a chip."""
    return {
        "jobDefinitionName": f"whisper-fleet-{lane}",
        "type": "container",
        "containerProperties": {
            "image": "whisper-fleet-worker",
            "command": [sys.executable, "-m", "neuron_worker"],
            "resourceRequirements": [
                {"type": "VCPU", "value": str(INSTANCE.slot_vcpus)},
                {"type": "MEMORY", "value": str(INSTANCE.slot_memory_mib)},
            ],
            "environment": [
                {"name": "NEURON_RT_NUM_CORES", "value": "1"},
                {"name": "WHISPER_FLEET_MODEL", "value": model},
            ],
        },
        "retryStrategy": {
            "attempts": 3,
            "evaluateOnExit": [
                {"action": "RETRY", "onStatusReason": "Host EC2*"},
                {"action": "EXIT", "onReason": "*"},
            ],
        },
        "timeout": {"attemptDurationSeconds": JOB_TIMEOUT_SECONDS},
    }
