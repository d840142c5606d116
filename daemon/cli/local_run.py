"""One run of recordings through the small cloud: the real path from queue to transcript."""

import asyncio
import json
import time
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console

from daemon.aws.upload import upload
from daemon.aws.world import open_world
from daemon.cli.enqueue import make_request, new_request_id
from daemon.cli.progress import RequestBars
from daemon.cli.recordings import duration_seconds
from daemon.dispatcher import Dispatcher
from daemon.embedded.batch.figures import Figures
from daemon.embedded.cloud import (
    INPUT_BUCKET,
    INSTANCE,
    LEDGER_BUCKET,
    OUTPUT_BUCKET,
    SmallCloud,
    small_cloud,
)
from daemon.metrics import Metrics
from daemon.ports import Outgoing, Queue, Store
from daemon.request import Request
from daemon.settings import Settings
from daemon.status import Stage, Standing, Watcher
from neuron_worker.contract import Ledger, S3Uri, TranscriptFormat

T = TypeVar("T")

LINGER_SECONDS = 5.0
"""For a request that is tried again, and while the queue is slow to hand over the others."""

ORDER_REQUESTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Job:
    """A recording, its request, and the stem that its transcripts will have."""

    recording: Path
    request: Request
    stem: str


@dataclass(frozen=True, slots=True)
class Result:
    """How one recording ended: its files and its text, or the standing that says why not."""

    recording: Path
    standing: Standing
    files: tuple[Path, ...]
    text: str


@dataclass(frozen=True, slots=True)
class Report:
    """What a whole run did."""

    results: tuple[Result, ...]
    wall_seconds: float
    orders: int
    retries: int
    figures: Figures

    @property
    def audio_seconds(self) -> float:
        """Audio that was transcribed."""
        outcomes = [result.standing.outcome for result in self.results]
        return sum(outcome.audio_seconds for outcome in outcomes if outcome)

    @property
    def failed(self) -> list[Result]:
        """The recordings without a transcript."""
        return [result for result in self.results if result.standing.stage is not Stage.DONE]


def settings_document(cloud: SmallCloud, model: str) -> dict[str, Any]:
    """The daemon's settings for the small cloud: as a service's, but with less patience."""
    return {
        "default_profile": model,
        "queues": {
            "requests": cloud.requests_url,
            "dead_letters": cloud.dead_letters_url,
            "events": cloud.events_url,
        },
        "locations": {
            "ledger": f"s3://{LEDGER_BUCKET}/",
            "output": f"s3://{OUTPUT_BUCKET}/",
            "input": f"s3://{INPUT_BUCKET}/",
        },
        "lanes": [
            {
                "name": cloud.compute_environment,
                "profile": model,
                "instance_type": INSTANCE.name,
                "job_queue": cloud.job_queue,
                "job_definition": cloud.job_definition,
                "compute_environment": cloud.compute_environment,
                "max_vcpus": cloud.max_vcpus,
            }
        ],
        "intake": {"wait_seconds": 1},
        "planner": {"linger_seconds": 0.5},
        "retries": {"backoff_seconds": 1.0, "infrastructure_attempts_max": 3},
        "reconcile": {"period_seconds": 0.5},
        "autoscaler": {"period_seconds": 1.0, "keep_warm_seconds": 10.0},
        "monitor": {"port": 0},
    }


async def transcribe(
    recordings: Sequence[Path],
    stems: Sequence[str],
    out: Path,
    *,
    model: str,
    formats: tuple[TranscriptFormat, ...],
    language: str | None,
    cores: int,
    work_folder: Path,
    console: Console,
) -> Report:
    """Send every recording through the small cloud and write its transcripts below `out`."""
    started = time.monotonic()
    # The JSON is asked for in any case: the text that is shown comes from it.
    options = {"formats": tuple(dict.fromkeys((*formats, TranscriptFormat.JSON)))}
    jobs = [
        Job(recording, _request(recording, {**options, "language": language}), stem)
        for recording, stem in zip(recordings, stems, strict=True)
    ]
    async with small_cloud(cores=cores, model=model, work_folder=work_folder) as cloud:
        settings = Settings(**_all_together(settings_document(cloud, model), len(jobs)))
        queues = settings.queues
        metrics = Metrics()
        async with open_world(
            queues.requests, queues.dead_letters, queues.events, metrics.aws
        ) as world:
            dispatcher = Dispatcher(settings, world, metrics)
            await _send(jobs, world.requests)
            running = asyncio.create_task(dispatcher.run())
            ledger = Ledger(S3Uri.parse(settings.locations.ledger))
            titles = {str(job.request.request_id): job.recording.name for job in jobs}
            watcher = Watcher(world.store, ledger, titles)
            standings = await _unless_broken(running, RequestBars(console, titles).follow(watcher))
            dispatcher.stop()
            await running
            results = [
                await _collect(job, standing, out, formats, world.store)
                for job, standing in zip(jobs, standings, strict=True)
            ]
        return Report(
            results=tuple(results),
            wall_seconds=time.monotonic() - started,
            orders=int(dispatcher.metrics.total("orders_submitted_total")),
            retries=int(dispatcher.metrics.total("requests_retried_total")),
            figures=cloud.services.batch.figures(),
        )


def _all_together(document: dict[str, Any], requests: int) -> dict[str, Any]:
    """Settings for a known number of requests: none lingers once all of them are there."""
    together = min(requests, ORDER_REQUESTS_MAX)
    planner = {"linger_seconds": LINGER_SECONDS, "order_requests_max": together}
    return {**document, "planner": planner}


def _request(recording: Path, options: dict[str, object]) -> Request:
    request_id = new_request_id(recording.name)
    hints = {
        "duration_seconds": duration_seconds(recording),
        "size_bytes": recording.stat().st_size,
    }
    audio = S3Uri(INPUT_BUCKET, f"{request_id}/{recording.name}")
    return make_request(audio, request_id, {**options, **hints})


async def _send(jobs: Sequence[Job], requests: Queue) -> None:
    for job in jobs:
        await upload(job.recording, S3Uri.parse(job.request.audio))
    await requests.send([Outgoing(job.request.to_json().decode()) for job in jobs])


async def _unless_broken(running: "asyncio.Task[None]", wanted: Coroutine[Any, Any, T]) -> T:
    """Wait for `wanted`, but no longer than the dispatcher lives: its error is raised."""
    waiting = asyncio.create_task(wanted)
    try:
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            running.result()
            raise RuntimeError("the dispatcher stopped before its work was done")
        return waiting.result()
    finally:
        waiting.cancel()


async def _collect(
    job: Job, standing: Standing, out: Path, formats: Sequence[TranscriptFormat], store: Store
) -> Result:
    """Write the transcripts that were asked for below `out`."""
    written: dict[str, str] = {}
    if standing.stage is Stage.DONE and standing.outcome is not None:
        written = {str(name): uri for name, uri in standing.outcome.transcripts.items()}
    files = []
    text = ""
    for name, uri in written.items():
        content = await store.get(S3Uri.parse(uri)) or b""
        if name == TranscriptFormat.JSON:
            text = json.loads(content)["text"]
        if name in formats:
            file = out / f"{job.stem}.{name}"
            file.write_bytes(content)
            files.append(file)
    return Result(job.recording, standing, tuple(files), text)
