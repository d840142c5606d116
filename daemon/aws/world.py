"""The dispatcher's world, on AWS or on whatever the endpoint variables name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from daemon.aws.batch import AwsBatch
from daemon.aws.calls import Observer
from daemon.aws.clients import connect
from daemon.aws.queue import SqsQueue
from daemon.aws.store import S3Store
from daemon.ports import World


@asynccontextmanager
async def open_world(
    requests_url: str,
    dead_letters_url: str,
    events_url: str | None = None,
    observer: Observer | None = None,
) -> AsyncIterator[World]:
    """Connect to the queues, S3 and Batch; the observer is told of every call."""
    async with connect(observer) as clients:

        def queue(url: str) -> SqsQueue:
            return SqsQueue(clients.sqs, url, clients.calls)

        yield World(
            requests=queue(requests_url),
            dead_letters=queue(dead_letters_url),
            store=S3Store(clients.s3, clients.calls),
            batch=AwsBatch(clients.batch, clients.calls),
            events=queue(events_url) if events_url else None,
        )
