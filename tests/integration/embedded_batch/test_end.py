import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from daemon.embedded.batch.effects import AttemptKey, Run
from daemon.embedded.batch.executor import StartError, SubprocessExecutor
from daemon.embedded.batch.service import EmbeddedBatch

IGNORE_TERM = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print(os.getpid(), flush=True)
while True:
    signal.pause()
"""

IGNORE_TERM_WITH_A_CHILD = IGNORE_TERM.replace("print", "os.fork(); print")

SERVE = """
import asyncio, sys
from pathlib import Path
from daemon.embedded.batch.effects import AttemptKey, Run
from daemon.embedded.batch.executor import StartError, SubprocessExecutor
from daemon.embedded.batch.service import EmbeddedBatch

async def main():
    log_folder = Path(sys.argv[1])
    async with EmbeddedBatch(log_folder=log_folder, environment={}, boot_seconds=0) as batch:
        print(batch.endpoint_url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def run_job(client: Any, program: str) -> None:
    """Furnish a fresh service and start a job that never ends."""
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
            "command": [sys.executable, "-c", program],
            "resourceRequirements": [
                {"type": "VCPU", "value": "2"},
                {"type": "MEMORY", "value": "6900"},
            ],
        },
    )
    await client.submit_job(jobName="job", jobQueue="queue", jobDefinition="worker")


async def printed_pids(log_folder: Path, processes: int, wait_until: Any) -> list[int]:
    """Wait until so many processes of jobs have printed their ids."""

    def pids() -> list[int]:
        logs = [log for log in log_folder.rglob("*") if log.is_file()]
        return [int(line) for log in logs for line in log.read_text().splitlines()]

    await wait_until(lambda: len(pids()) == processes)
    return pids()


async def test_no_process_is_left_when_the_service_stops(
    tmp_path: Path, create_client: Any, wait_until: Any, alive: Any, gone: Any, monkeypatch: Any
) -> None:
    monkeypatch.setattr("daemon.embedded.batch.executor.CLOSE_GRACE_SECONDS", 0.2)
    batch = EmbeddedBatch(log_folder=tmp_path, environment={}, boot_seconds=0)
    async with batch, create_client(batch.endpoint_url) as client:
        await run_job(client, IGNORE_TERM_WITH_A_CHILD)
        pids = await printed_pids(tmp_path, 2, wait_until)
        assert all(alive(pid) for pid in pids)
    for pid in pids:
        await gone(pid)
    assert len(list((tmp_path / "worker" / "default").iterdir())) == 1, "nothing was tried again"


async def test_a_start_under_way_when_the_service_stops_leaves_nothing(
    tmp_path: Path, create_client: Any, own_children: Callable[[], set[int]]
) -> None:
    before = own_children()
    batch = EmbeddedBatch(log_folder=tmp_path, environment={}, boot_seconds=0)
    async with batch, create_client(batch.endpoint_url) as client:
        await run_job(client, IGNORE_TERM)
    assert own_children() - before == set()


async def test_a_closed_executor_starts_nothing(
    tmp_path: Path, own_children: Callable[[], set[int]]
) -> None:
    run = Run(
        key=AttemptKey("job", 1),
        job_name="job",
        queue="queue",
        compute_environment="fleet",
        instance_id="i-0",
        core=0,
        cores=2,
        array_index=None,
        image="none",
        command=(sys.executable, "-c", IGNORE_TERM),
        environment={},
        log_stream="worker/default/0",
    )
    before = own_children()
    executor = SubprocessExecutor(tmp_path, {}, cpus=[min(os.sched_getaffinity(0))])
    start = asyncio.create_task(executor.start(run))
    await executor.close()
    with pytest.raises(StartError, match="the service is stopping"):
        await start
    with pytest.raises(StartError, match="the service is stopping"):
        await executor.start(run)
    assert own_children() - before == set()


async def test_a_jobs_process_dies_with_a_service_that_is_killed(
    tmp_path: Path, create_client: Any, wait_until: Any, gone: Callable[[int], Any]
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
            while not (line := (await service.stdout.readline()).decode()).startswith("http"):
                assert line, "the service ended before it said where it listens"
            endpoint_url = line.strip()
        async with create_client(endpoint_url) as client:
            await run_job(client, IGNORE_TERM)
            [pid] = await printed_pids(tmp_path, 1, wait_until)
    finally:
        service.send_signal(signal.SIGKILL)
        await service.wait()
    await gone(pid)
