import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiobotocore.session import get_session

from daemon.embedded.batch.service import EmbeddedBatch

CREDENTIALS = {
    "region_name": "us-east-1",
    "aws_access_key_id": "anything",
    "aws_secret_access_key": "anything",
}

IGNORE_TERM = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork()
print(os.getpid(), flush=True)
while True:
    signal.pause()
"""

SERVE = """
import asyncio, sys
from pathlib import Path
from daemon.embedded.batch.service import EmbeddedBatch

async def main():
    log_folder = Path(sys.argv[1])
    async with EmbeddedBatch(log_folder=log_folder, environment={}, boot_seconds=0) as batch:
        print(batch.endpoint_url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def run_job(client: Any) -> str:
    """Furnish a fresh service and start a job that never ends; answers the job's id."""
    await client.create_compute_environment(
        computeEnvironmentName="fleet",
        type="MANAGED",
        computeResources={"type": "EC2", "maxvCpus": 4, "instanceTypes": ["inf2.xlarge"]},
    )
    await client.create_job_queue(
        jobQueueName="queue",
        priority=1,
        computeEnvironmentOrder=[{"order": 1, "computeEnvironment": "fleet"}],
    )
    await client.register_job_definition(
        jobDefinitionName="worker",
        type="container",
        retryStrategy={"attempts": 10},
        containerProperties={
            "image": "none",
            "command": [sys.executable, "-c", IGNORE_TERM],
            "resourceRequirements": [
                {"type": "VCPU", "value": "2"},
                {"type": "MEMORY", "value": "6900"},
            ],
        },
    )
    job = await client.submit_job(jobName="job", jobQueue="queue", jobDefinition="worker")
    return str(job["jobId"])


async def printed_pids(log_folder: Path) -> list[int]:
    """Wait until the job and its child have printed their process ids."""
    async with asyncio.timeout(15):
        while True:
            lines = [line for log in log_folder.rglob("*") if log.is_file()
                     for line in log.read_text().splitlines()]  # fmt: skip
            if len(lines) == 2:
                return [int(line) for line in lines]
            await asyncio.sleep(0.02)


async def test_no_process_is_left_when_the_service_stops(
    tmp_path: Path, alive: Callable[[int], bool], monkeypatch: Any
) -> None:
    monkeypatch.setattr("daemon.embedded.batch.executor.CLOSE_GRACE_SECONDS", 0.2)
    async with EmbeddedBatch(log_folder=tmp_path, environment={}, boot_seconds=0) as batch:
        session = get_session()
        async with session.create_client(
            "batch", endpoint_url=batch.endpoint_url, **CREDENTIALS
        ) as client:
            await run_job(client)
            pids = await printed_pids(tmp_path)
            assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)
    assert len(list((tmp_path / "worker" / "default").iterdir())) == 1, "nothing was tried again"


async def test_a_start_under_way_when_the_service_stops_leaves_nothing(
    tmp_path: Path, alive: Callable[[int], bool]
) -> None:
    async with EmbeddedBatch(log_folder=tmp_path, environment={}, boot_seconds=0) as batch:
        session = get_session()
        async with session.create_client(
            "batch", endpoint_url=batch.endpoint_url, **CREDENTIALS
        ) as client:
            job_id = await run_job(client)
    leftovers = [
        path
        for path in Path("/proc").glob("[0-9]*/environ")
        if os.access(path, os.R_OK) and f"AWS_BATCH_JOB_ID={job_id}".encode() in _read(path)
    ]
    assert leftovers == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


async def test_a_jobs_process_dies_with_a_service_that_is_killed(
    tmp_path: Path, gone: Callable[[int], Any]
) -> None:
    service = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVE,
        str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        assert service.stdout is not None
        async with asyncio.timeout(15):
            lines = (line.decode().strip() async for line in service.stdout)
            endpoint_url = await anext(line for line in lines if line.startswith("http"))
        session = get_session()
        async with session.create_client(
            "batch", endpoint_url=endpoint_url, **CREDENTIALS
        ) as client:
            await run_job(client)
            pids = await printed_pids(tmp_path)
    finally:
        service.send_signal(signal.SIGKILL)
        await service.wait()
    for pid in pids:
        await gone(pid)
