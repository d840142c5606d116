"""The worker processes of a small cloud in this process: what they have in hand, and signals."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from signal import Signals
from typing import Any

from tests.running import Cloud


def in_hand(cloud: Cloud, order_id: str) -> tuple[int, str] | None:
    """The shard and the id of some request that a worker has in hand."""
    prefix = cloud.ledger.reports(order_id)
    for key in cloud.keys(prefix.bucket, prefix.key):
        report = json.loads(cloud.read(f"s3://{prefix.bucket}/{key}"))
        if report.get("in_hand"):
            return report.get("shard_index", 0), report["in_hand"][0]["request_id"]
    return None


def signal_worker(job_id: str, shard_index: int, number: Signals) -> None:
    """Signal the worker of one array child, which is among this process's own descendants."""
    wanted = f"AWS_BATCH_JOB_ID={job_id}:{shard_index}".encode()
    for pid in _descendants(os.getpid()):
        process = Path("/proc") / str(pid)
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            command = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if wanted in variables and b"neuron_worker" in command:
            os.kill(pid, number)


def _descendants(pid: int) -> Iterator[int]:
    """The processes that this one started, and those that they started."""
    for thread in (Path("/proc") / str(pid) / "task").glob("*/children"):
        try:
            children = thread.read_text().split()
        except OSError:
            continue
        for child in children:
            yield int(child)
            yield from _descendants(int(child))


def lines_of_workers(cloud: Cloud) -> Iterator[dict[str, Any]]:
    """What all workers logged."""
    for file in (cloud.folder / "jobs").rglob("*"):
        if file.is_file():
            for line in file.read_text().splitlines():
                yield json.loads(line)
