import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from daemon.embedded.batch.service import EmbeddedBatch

PATIENCE_SECONDS = 15.0
"""How long a test waits for something that takes a fraction of a second."""

CREDENTIALS = {
    "region_name": "us-east-1",
    "aws_access_key_id": "anything",
    "aws_secret_access_key": "anything",
}


POLL_SECONDS = 0.02


async def poll(condition: Callable[[], bool]) -> None:
    """Wait for something outside this process, which rings no bell."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)


class Lab:
    """An embedded Batch of at most two inf2.xlarge, and a client for it."""

    def __init__(self, batch: EmbeddedBatch, client: Any, log_folder: Path) -> None:
        self.batch = batch
        self.client = client
        self.log_folder = log_folder

    async def furnish(self) -> None:
        await self.client.create_compute_environment(
            computeEnvironmentName="fleet",
            type="MANAGED",
            computeResources={
                "type": "SPOT",
                "minvCpus": 0,
                "maxvCpus": 8,
                "instanceTypes": ["inf2.xlarge"],
                "subnets": ["subnet-1"],
            },
        )
        await self.client.create_job_queue(
            jobQueueName="queue",
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "fleet"}],
        )

    async def define(self, *command: str, name: str = "worker", **registered: Any) -> str:
        """Register a job definition of half an inf2.xlarge; answers its ARN."""
        container = {
            "image": "recorded-and-not-pulled",
            "command": list(command),
            "resourceRequirements": [
                {"type": "VCPU", "value": "2"},
                {"type": "MEMORY", "value": "6900"},
            ],
        }
        container |= registered.pop("container", {})
        answer = await self.client.register_job_definition(
            jobDefinitionName=name, type="container", containerProperties=container, **registered
        )
        return str(answer["jobDefinitionArn"])

    async def define_python(self, program: str, **registered: Any) -> str:
        """Register a job definition that runs a Python program."""
        return await self.define(sys.executable, "-c", program, **registered)

    async def submit(self, definition: str = "worker", name: str = "job", **more: Any) -> str:
        """Submit a job; answers its id."""
        answer = await self.client.submit_job(
            jobName=name, jobQueue="queue", jobDefinition=definition, **more
        )
        return str(answer["jobId"])

    async def describe(self, job_id: str) -> dict[str, Any]:
        [job] = (await self.client.describe_jobs(jobs=[job_id]))["jobs"]
        return dict(job)

    async def until(self, job_id: str, *states: str) -> dict[str, Any]:
        """Poll until the job is in one of the states; answers it as described."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                job = await self.describe(job_id)
                if job["status"] in states:
                    return job
                await asyncio.sleep(POLL_SECONDS)

    async def finished(self, job_id: str) -> dict[str, Any]:
        return await self.until(job_id, "SUCCEEDED", "FAILED")

    def log(self, container: dict[str, Any]) -> str:
        """What the attempt shown in a `container` has printed."""
        return (self.log_folder / str(container["logStreamName"])).read_text()

    async def printed(self, job_id: str, lines: int = 1) -> list[str]:
        """Wait until a running job has printed so many lines; answers them."""
        job = await self.until(job_id, "RUNNING")
        await poll(lambda: self.log(job["container"]).count("\n") >= lines)
        return self.log(job["container"]).splitlines()


@pytest.fixture(scope="session")
def create_client() -> Callable[[str], Any]:
    """Makes clients for an address; they share one session, which reads botocore's data once."""
    session = get_session()
    config = AioConfig(retries={"total_max_attempts": 1})
    return lambda endpoint_url: session.create_client(
        "batch", endpoint_url=endpoint_url, config=config, **CREDENTIALS
    )


@pytest.fixture
def open_lab(tmp_path: Path, create_client: Callable[[str], Any]) -> Callable[..., Any]:
    """Opens a lab whose Batch has more options than usual."""

    @asynccontextmanager
    async def open_lab(**options: Any) -> AsyncIterator[Lab]:
        batch = EmbeddedBatch(
            log_folder=tmp_path,
            environment={"PATH": os.environ["PATH"], "INHERITED": "from the service"},
            boot_seconds=0.05,
            idle_seconds=30,
            stop_grace_seconds=0.3,
            **options,
        )
        async with batch, create_client(batch.endpoint_url) as client:
            lab = Lab(batch, client, tmp_path)
            await lab.furnish()
            yield lab

    return open_lab


@pytest.fixture
async def lab(open_lab: Callable[..., Any]) -> AsyncIterator[Lab]:
    async with open_lab() as lab:
        yield lab


@pytest.fixture
def wait_until() -> Callable[[Callable[[], bool]], Any]:
    return poll


def is_alive(pid: int) -> bool:
    """Whether a process still does anything; one that only waits to be reaped does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def alive() -> Callable[[int], bool]:
    return is_alive


@pytest.fixture
def gone() -> Callable[[int], Any]:
    """Waits until a process is gone."""
    return lambda pid: poll(lambda: not is_alive(pid))


@pytest.fixture
def own_children() -> Callable[[], set[int]]:
    """Tells which processes this one has started and not yet reaped; looks at no others."""

    def own_children() -> set[int]:
        threads = Path("/proc/self/task").iterdir()
        return {int(pid) for thread in threads for pid in (thread / "children").read_text().split()}

    return own_children
