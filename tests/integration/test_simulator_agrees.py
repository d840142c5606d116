"""The small cloud runs real workers, the simulator sleepers: both must keep their chips as busy."""

import random
import statistics
import time
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import structlog

from daemon.settings import load
from daemon.simulation import fleet
from daemon.simulation.workload import Workload
from neuron_worker.contract import Ledger, Order, S3Uri, ShardReport
from tests import fleets
from tests.jobs import NAMES, samples_of
from tests.media import encoded
from tests.running import Cloud, running_cloud, wait_until

REQUESTS = 60
FIRST = 20
LATER_SECONDS = 30.0
"""The others come so much later: the chip is idle in between if it can."""

FILE_SECONDS = 0.1
CLOUD = {
    "planner": {"linger_seconds": 3, "startup_share": 0.25, "shard_min_seconds": 4},
    "estimator": {
        "seconds_per_job": 3,
        "seconds_per_request": FILE_SECONDS,
        "seconds_per_audio_second": 0.05,
    },
}
DIFFERENCE_MAX = 0.10


@dataclass(frozen=True, slots=True)
class Core:
    """What one core of an instance did: seconds of any clock."""

    launched_at: float
    ended_at: float | None
    busy_seconds: float


@dataclass(frozen=True, slots=True)
class Shard:
    """What a real job took: until its first request began, and for its requests."""

    request_ids: Sequence[str]
    start_seconds: float
    seconds: float
    ended_at: float


def busy_share(cores: Sequence[Core], over_at: float) -> float:
    """Of the time from each instance's launch until all is over, or it is gone."""
    there = sum(min(core.ended_at or over_at, over_at) - core.launched_at for core in cores)
    return sum(core.busy_seconds for core in cores) / there


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    with running_cloud(tmp_path) as cloud:
        yield cloud


@pytest.fixture
def _logging_as_before() -> Iterator[None]:
    state = random.getstate()
    yield
    structlog.reset_defaults()
    random.setstate(state)


def recordings() -> list[tuple[float, bytes]]:
    """Pieces of 2 to 20 s of the shipped recordings."""
    source = random.Random(5)
    samples = np.concatenate([samples_of(name) for name in NAMES], axis=1)
    found = []
    for _ in range(REQUESTS):
        seconds = source.uniform(2.0, 20.0)
        first = source.randrange(samples.shape[1] - round(seconds * 16_000))
        piece = samples[:, first : first + round(seconds * 16_000)]
        found.append((seconds, encoded(piece, "flac", "flac", 16_000)))
    return found


def send(cloud: Cloud, wanted: Sequence[tuple[tuple[str, float], str]]) -> None:
    for (name, seconds), audio in wanted:
        cloud.send({"audio": audio, "request_id": name, "duration_seconds": seconds})


def shards(cloud: Cloud) -> Iterator[Shard]:
    """The jobs of all orders, by what Batch and the workers' reports say of them."""
    keys = cloud.keys("ledger", "orders/closed/")
    orders = [Order.model_validate_json(cloud.read(f"s3://ledger/{key}")) for key in keys]
    roots = cloud.batch.list_jobs(jobQueue=cloud.parts.job_queue, jobStatus="SUCCEEDED")
    ledger = Ledger(S3Uri.parse("s3://ledger/"))
    for order in orders:
        [root] = [job for job in roots["jobSummaryList"] if job["jobName"] == order.order_id]
        for index, shard in enumerate(order.shards):
            child = root["jobId"] if len(order.shards) == 1 else f"{root['jobId']}:{index}"
            [job] = cloud.batch.describe_jobs(jobs=[child])["jobs"]
            report = ShardReport.model_validate_json(
                cloud.read(str(ledger.report(order.order_id, index)))
            )
            began_at = min(
                outcome.finished_at.timestamp() - outcome.wall_seconds
                for outcome in report.outcomes
            )
            yield Shard(
                [item.request_id for item in shard.items],
                began_at - job["startedAt"] / 1_000,
                (job["stoppedAt"] - job["startedAt"]) / 1_000,
                job["stoppedAt"] / 1_000,
            )


def core_seconds(
    found: Sequence[Shard], lengths: dict[str, float], start_seconds: float
) -> dict[str, float]:
    """What each request took: of its job's time, beyond the start, its share by length."""
    taken: dict[str, float] = {}
    for shard in found:
        left = max(0.1, shard.seconds - start_seconds - FILE_SECONDS * len(shard.request_ids))
        audio_seconds = sum(lengths[one] for one in shard.request_ids)
        taken |= {
            one: FILE_SECONDS + left * lengths[one] / audio_seconds for one in shard.request_ids
        }
    return taken


@pytest.mark.usefixtures("_logging_as_before")
def test_chips_are_as_busy_with_real_workers_as_the_simulator_predicts(cloud: Cloud) -> None:
    pieces = recordings()
    lengths = {f"piece-{number}": seconds for number, (seconds, _) in enumerate(pieces)}
    uris = [cloud.put(f"{number}.flac", content) for number, (_, content) in enumerate(pieces)]
    with cloud.daemon(**CLOUD):
        wanted = list(zip(lengths.items(), uris, strict=True))
        began = time.monotonic()
        send(cloud, wanted[:FIRST])
        time.sleep(max(0.0, began + LATER_SECONDS - time.monotonic()))
        send(cloud, wanted[FIRST:])
        wait_until("all messages are gone", lambda: cloud.depth() == (0, 0), 240)
        wait_until("all orders are closed", lambda: not cloud.keys("ledger", "orders/open/"))
        config = cloud.config(**CLOUD)
    jobs = list(shards(cloud))
    assert sorted(one for job in jobs for one in job.request_ids) == sorted(lengths)
    real = busy_share(
        [
            Core(one.launched_at, one.ended_at, busy)
            for one in cloud.parts.services.batch.figures().instances
            for busy in one.core_busy_seconds
        ],
        max(job.ended_at for job in jobs),
    )

    start_seconds = statistics.median(job.start_seconds for job in jobs)
    taken = core_seconds(jobs, lengths, start_seconds)
    rate = statistics.median(taken[one] / lengths[one] for one in lengths)
    profile = {"core_seconds_per_audio_hour": rate * 3_600, "load_seconds": start_seconds}
    parameters = fleets.parameters(
        boot_seconds=0.5,
        image_pull_seconds=0,
        container_start_seconds=0,
        evaluate_seconds=0,
        billing_minimum_seconds=0,
        file_seconds=FILE_SECONDS,
        profiles={"tiny.en": profile},
    )
    one_chip = {"instance_type": "inf2.xlarge", "chips_max": 1}
    work = Workload(
        fleets.scenario(profile="tiny.en", lanes=[one_chip]),
        array("d", [0.0] * FIRST + [LATER_SECONDS] * (REQUESTS - FIRST)),
        array("d", lengths.values()),
        array("d", (taken[one] for one in lengths)),
        array("B", [0] * REQUESTS),
        array("B", [0] * REQUESTS),
    )
    history = fleet.run(work, parameters, load(config), seed=1)
    spans = [(life, core) for life in history.instances for core in life.cores]
    predicted = busy_share(
        [
            Core(life.launched_at, life.ended_at, sum(core.ends) - sum(core.starts))
            for life, core in spans
        ],
        max(chain.from_iterable(core.ends for _, core in spans)),
    )

    told = f"{real:.1%} real, {predicted:.1%} predicted; {len(jobs)} and {history.jobs} jobs"
    told += f", which start in {start_seconds:.1f} s and take {rate:.3f} s for a second of audio"
    assert abs(real - predicted) <= DIFFERENCE_MAX, told
    assert 0.3 < predicted < 0.99, "an idle or a full fleet proves little"
