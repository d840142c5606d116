"""Worker processes with an order of their own, as Batch would start them."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from neuron_worker.audio import AudioReader
from neuron_worker.contract import (
    Options,
    Order,
    Outcome,
    OutcomeKind,
    Range,
    Record,
    Shard,
    ShardReport,
    TranscriptFormat,
    WorkItem,
)
from tests.media import Samples, encoded
from tests.running import Cloud

RECORDINGS = Path(__file__).parent / "recordings"
NAMES = ("archive.opus", "harbour.flac", "interview.m4a", "weather.mp3")
PATIENCE_SECONDS = 240
_numbers = count()


def samples_of(name: str) -> Samples:
    """Shape (1, samples), 16 kHz."""
    with (RECORDINGS / name).open("rb") as file, AudioReader(file, max_seconds=600) as reader:
        return np.concatenate(list(reader.blocks()), axis=1)


def two_channels() -> bytes:
    """A recording of one voice on the left and another one on the right."""
    weather, harbour = samples_of("weather.mp3"), samples_of("harbour.flac")
    both = np.zeros((2, max(weather.shape[1], harbour.shape[1])), np.float32)
    both[0, : weather.shape[1]] = weather[0]
    both[1, : harbour.shape[1]] = harbour[0]
    return encoded(both, "flac", "flac", 16_000)


def assert_each_channel_is_heard(segments: Sequence[dict[str, Any]]) -> None:
    """The two channels' texts are there, and are not mixed."""
    left, right = (
        " ".join(one["text"] for one in segments if one["channel"] == channel).lower()
        for channel in (1, 2)
    )
    assert "weather" in left
    assert "weather" not in right
    assert "harbo" in right


@dataclass
class Ended:
    """How a worker process ended, and what it logged."""

    code: int
    log: list[dict[str, Any]]

    def event(self, name: str) -> dict[str, Any] | None:
        return next((line for line in self.log if line["event"] == name), None)


@dataclass
class Job:
    """One order, and the worker processes that try to do it."""

    cloud: Cloud
    order: Order
    attempts: int = 0

    def start(self, shard: int = 0, **settings: str) -> "subprocess.Popen[str]":
        self.attempts += 1
        uri = self.cloud.ledger.open_order(self.order.order_id)
        told = {
            "WHISPER_FLEET_ORDER": str(uri),
            "AWS_BATCH_JOB_ATTEMPT": str(self.attempts),
            "AWS_BATCH_JOB_ARRAY_INDEX": str(shard),
        }
        return subprocess.Popen(
            [sys.executable, "-m", "neuron_worker"],
            env=os.environ | told | settings,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, shard: int = 0, **settings: str) -> Ended:
        return end_of(self.start(shard, **settings))

    def report(self, shard: int = 0) -> ShardReport:
        uri = self.cloud.ledger.report(self.order.order_id, shard)
        return ShardReport.model_validate_json(self.cloud.read(str(uri)))

    def in_hand(self) -> bool:
        """Whether somebody could be blamed now."""
        try:
            return bool(self.report().in_hand)
        except self.cloud.s3.exceptions.NoSuchKey:
            return False

    def transcript(self, request_id: str, shard: int = 0) -> dict[str, Any]:
        """The JSON of a request that must be done."""
        outcomes = {outcome.request_id: outcome for outcome in self.report(shard).outcomes}
        assert outcomes[request_id].kind is OutcomeKind.DONE, outcomes[request_id].detail
        item = next(item for item in self.order.items() if item.request_id == request_id)
        found: dict[str, Any] = json.loads(
            self.cloud.read(str(item.transcript(TranscriptFormat.JSON)))
        )
        return found

    def outcome(self, shard: int) -> Outcome:
        """What became of the one request of a shard."""
        [outcome] = self.report(shard).outcomes
        return outcome

    def left(self, prefix: str) -> int:
        """How many objects are left in the ledger below a prefix."""
        found = self.cloud.s3.list_objects_v2(Bucket="ledger", Prefix=prefix)
        return int(found["KeyCount"])

    def record(self, request_id: str) -> Record | None:
        return self.cloud.record(request_id)


def end_of(process: "subprocess.Popen[str]") -> Ended:
    _, told = process.communicate(timeout=PATIENCE_SECONDS)
    return Ended(process.returncode, [json.loads(line) for line in told.splitlines()])


def job(cloud: Cloud, *wanted: tuple[str, bytes, Options]) -> Job:
    """Put recordings and an order for them; request ids are the names given."""
    number = next(_numbers)
    items = tuple(
        WorkItem(
            request_id=f"{name}.{number}",
            audio=cloud.put(f"{number}/{name}", content),
            output="s3://transcripts/",
            options=options,
        )
        for name, content, options in wanted
    )
    return _placed(cloud, f"order-{number}", (Shard(items=items),))


def cut_job(cloud: Cloud, count: int, name: str, content: bytes, options: Options) -> Job:
    """Put a recording, and an order for its ranges."""
    number = next(_numbers)
    item = WorkItem(
        request_id=f"{name}.{number}",
        audio=cloud.put(f"{number}/{name}", content),
        output="s3://transcripts/",
        options=options,
    )
    shards = tuple(
        Shard(items=(item.model_copy(update={"range": Range(number=one, count=count)}),))
        for one in range(count)
    )
    return _placed(cloud, f"order-{number}", shards)


def _placed(cloud: Cloud, order_id: str, shards: tuple[Shard, ...]) -> Job:
    order = Order(
        order_id=order_id,
        profile="tiny.en",
        lane="lane",
        created_at=datetime.now(UTC),
        shards=shards,
    )
    uri = cloud.ledger.open_order(order.order_id)
    cloud.s3.put_object(Bucket=uri.bucket, Key=uri.key, Body=order.to_json())
    return Job(cloud, order)
