"""The dispatcher's world, on AWS or on whatever the endpoint variables name."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from daemon.aws.batch import AwsBatch
from daemon.aws.clients import connect
from daemon.aws.queue import SqsQueue
from daemon.aws.store import S3Store
from daemon.ports import World


@asynccontextmanager
async def open_world(requests_url: str, dead_letters_url: str) -> AsyncIterator[World]:
    """Connect to the queues, S3 and Batch."""
    async with connect() as clients:
        yield World(
            requests=SqsQueue(clients.sqs, requests_url),
            dead_letters=SqsQueue(clients.sqs, dead_letters_url),
            store=S3Store(clients.s3),
            batch=AwsBatch(clients.batch),
        )
