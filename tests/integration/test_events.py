"""The events queue, from both of its bells to the dispatcher's ear, over the wire."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from daemon.aws.clients import connect
from daemon.aws.queue import SqsQueue
from daemon.events import Events
from daemon.metrics import Metrics
from neuron_worker.bell import Bell
from neuron_worker.contract import (
    Order,
    Outcome,
    OutcomeKind,
    Record,
    Shard,
    ShardReport,
    WorkItem,
)
from neuron_worker.reporter import Reporter
from neuron_worker.store import Store
from tests.running import Cloud

NOW = datetime(2026, 11, 27, tzinfo=UTC)


@pytest.fixture(autouse=True)
def empty(cloud: Cloud) -> Iterator[None]:
    yield
    list(cloud._take(cloud.parts.events_url))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def rung() -> list[set[str]]:
    return []


@pytest.fixture
async def events(cloud: Cloud, metrics: Metrics, rung: list[set[str]]) -> AsyncIterator[Events]:
    async with connect() as clients:
        queue = SqsQueue(clients.sqs, cloud.parts.events_url)
        yield Events(queue, rung.append, wait_seconds=1, metrics=metrics)


def send(cloud: Cloud, *bodies: object) -> None:
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    cloud.sqs.send_message_batch(
        QueueUrl=cloud.parts.events_url,
        Entries=[{"Id": str(n), "MessageBody": text} for n, text in enumerate(texts)],
    )


def left(cloud: Cloud) -> int:
    """Messages in the events queue, seen or not."""
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    counts = cloud.sqs.get_queue_attributes(QueueUrl=cloud.parts.events_url, AttributeNames=names)[
        "Attributes"
    ]
    return sum(int(counts[name]) for name in names)


def ring(order_id: str) -> dict[str, Any]:
    return {"source": "whisper-fleet.worker", "order_id": order_id, "shard_index": 3}


def job_state_change(name: str, status: str, **detail: object) -> dict[str, Any]:
    return {
        "version": "0",
        "id": "c8f9c4b5-76e5-d76a-f980-7011e206042b",
        "detail-type": "Batch Job State Change",
        "source": "aws.batch",
        "account": "123456789012",
        "time": "2026-01-11T23:36:40Z",
        "region": "us-east-1",
        "resources": ["arn:aws:batch:us-east-1:123456789012:job/4c7599ae"],
        "detail": {"jobName": name, "jobId": "4c7599ae", "status": status, **detail},
    }


async def test_both_bells_ring_once_for_each_order(
    cloud: Cloud, events: Events, rung: list[set[str]], metrics: Metrics
) -> None:
    send(
        cloud,
        ring("order-1"),
        ring("order-1"),
        job_state_change("order-1", "SUCCEEDED", arrayProperties={"index": 0}),
        job_state_change("order-2", "FAILED", arrayProperties={"size": 2}),
    )
    while left(cloud):
        await events.poll()

    assert set().union(*rung) == {"order-1", "order-2"}
    assert received(metrics) == {"worker": 2, "batch": 2}


async def test_what_a_newer_worker_says_besides_is_no_hindrance(
    cloud: Cloud, events: Events, rung: list[set[str]], metrics: Metrics
) -> None:
    send(cloud, ring("order-1") | {"news": {"is": 1}})
    await events.poll()
    assert (rung, received(metrics)) == ([{"order-1"}], {"worker": 1})


def received(metrics: Metrics) -> dict[str, float]:
    return {
        sample.labels["source"]: sample.value
        for family in metrics.requests.events.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }


@pytest.mark.parametrize("status", ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"])
async def test_a_job_that_has_not_ended_rings_for_nobody(
    cloud: Cloud, events: Events, rung: list[set[str]], metrics: Metrics, status: str
) -> None:
    send(cloud, job_state_change("order-1", status))
    await events.poll()
    assert (rung, left(cloud), received(metrics)) == ([], 0, {"batch": 1})


STRANGE = [
    "not JSON",
    "[" * 100_000,
    "null",
    "[]",
    {},
    {"source": "aws.s3", "detail-type": "Object Created"},
    {"source": "whisper-fleet.worker", "order_id": "../orders", "shard_index": 0},
    {"source": "whisper-fleet.worker", "order_id": ["a"], "shard_index": 0},
    {"source": "aws.batch", "detail-type": "Batch Job Queue Blocked", "detail": {}},
    job_state_change("name with spaces", "FAILED"),
    job_state_change("order-1", "RESTING"),
]


async def test_whatever_else_is_in_the_queue_is_counted_and_thrown_away(
    cloud: Cloud, events: Events, rung: list[set[str]], metrics: Metrics
) -> None:
    for event in STRANGE:
        send(cloud, event)
    send(cloud, ring("order-1"))
    while left(cloud):
        await events.poll()
    assert rung == [{"order-1"}]
    assert received(metrics) == {"other": len(STRANGE), "worker": 1}


async def test_an_empty_queue_rings_for_nobody(events: Events, rung: list[set[str]]) -> None:
    await events.poll()
    assert rung == []


async def test_a_worker_rings_at_once_and_then_once_a_second_and_once_more_at_its_end(
    cloud: Cloud, events: Events, rung: list[set[str]]
) -> None:
    began = time.monotonic()
    with Bell(cloud.parts.events_url, "order-1", 7) as bell:
        bell.ring()
        await events.poll()
        assert rung == [{"order-1"}]
        while not left(cloud):
            bell.ring()
    rings = 1 + left(cloud)
    assert rings <= 2 + (time.monotonic() - began)
    assert rings >= 3
    [first, *_] = cloud._take(cloud.parts.events_url)
    assert json.loads(first["Body"]) == {
        "source": "whisper-fleet.worker",
        "order_id": "order-1",
        "shard_index": 7,
    }


async def test_a_shard_that_had_nothing_to_do_rings_too(cloud: Cloud) -> None:
    with Bell(cloud.parts.events_url, "order-1", 0):
        pass
    assert left(cloud) == 1


DONE = Outcome(
    request_id="r1",
    order_id="order-of-r1",
    shard_index=0,
    kind=OutcomeKind.DONE,
    finished_at=NOW,
)


@pytest.fixture
def order() -> Order:
    item = WorkItem(request_id="r1", audio="s3://recordings/a", output="s3://transcripts/")
    return Order(
        order_id="order-of-r1",
        profile="tiny.en",
        lane="xl",
        created_at=NOW,
        shards=(Shard(items=(item,)),),
    )


async def test_an_outcome_rings_once_it_is_written(
    cloud: Cloud, events: Events, rung: list[set[str]], order: Order
) -> None:
    with Bell(cloud.parts.events_url, order.order_id, 0) as bell:
        reporter = Reporter(Store(), cloud.ledger, order, 0, 1, bell)
        reporter.begin("r1")
        assert left(cloud) == 0
        reporter.end(DONE)
        await events.poll()
        assert rung == [{"order-of-r1"}]
    report = cloud.read(str(cloud.ledger.report(order.order_id, 0)))
    assert ShardReport.model_validate_json(report).outcomes == (DONE,)


async def test_the_worker_process_rings_for_its_order(
    cloud: Cloud, events: Events, rung: list[set[str]], order: Order
) -> None:
    """All of its requests are done already, so that it needs no model."""
    record = Record(request_id="r1", outcomes=(DONE,))
    uri = cloud.ledger.open_order(order.order_id)
    for place, document in ((uri, order), (cloud.ledger.record("r1"), record)):
        cloud.s3.put_object(Bucket=place.bucket, Key=place.key, Body=document.to_json())
    told = {
        "WHISPER_FLEET_ORDER": str(uri),
        "WHISPER_FLEET_EVENTS_QUEUE": cloud.parts.events_url,
    }
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "neuron_worker"],
        env=os.environ | told,
        check=True,
        timeout=120,
    )
    await events.poll()
    assert rung == [{"order-of-r1"}]


async def test_the_small_clouds_batch_tells_of_every_job_that_ends(
    cloud: Cloud, events: Events, rung: list[set[str]], metrics: Metrics
) -> None:
    """Workers whose order is missing end at once."""
    cloud.batch.submit_job(
        jobName="order-9",
        jobQueue=cloud.parts.job_queue,
        jobDefinition=cloud.parts.job_definition,
        arrayProperties={"size": 2},
        containerOverrides={
            "environment": [
                {"name": "WHISPER_FLEET_ORDER", "value": "s3://ledger/orders/open/none.json"}
            ]
        },
    )
    deadline = time.monotonic() + 120
    while received(metrics).get("batch", 0) < 3 and time.monotonic() < deadline:
        await events.poll()
    assert set().union(*rung) == {"order-9"}
    assert received(metrics) == {"batch": 3}, "two children and their parent, each at its end"
