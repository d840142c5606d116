"""The aiobotocore clients of one daemon or console command."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session

from daemon.aws.calls import Calls, Observer
from daemon.aws.limits import LONG_POLL_MAX_SECONDS

CONNECTIONS_MAX = 50
READ_TIMEOUT_SECONDS = LONG_POLL_MAX_SECONDS + 10
"""A long poll is answered within its wait; anything slower is a broken connection."""

USER_AGENT = "whisper-fleet"
"""What CloudTrail and access logs call us. botocore's own is put together twice for every call."""


@dataclass(frozen=True, slots=True)
class Clients:
    """Open clients; region, credentials and endpoints come from the usual AWS variables.

    `calls` is how calls are made with them, at a rate that they share.
    """

    sqs: Any
    s3: Any
    batch: Any
    calls: Calls


@asynccontextmanager
async def connect(observer: Observer | None = None) -> AsyncIterator[Clients]:
    """Open the clients, and close them at the end; the observer is told of every call.

    Retries are ours (see `calls`): botocore's own would hide throttling and add up with ours. What
    we send is typed, so that botocore need not check its shape each time.
    """
    config = AioConfig(
        max_pool_connections=CONNECTIONS_MAX,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": 1},
        parameter_validation=False,
        user_agent=USER_AGENT,
    )
    session = get_session()
    async with AsyncExitStack() as stack:
        sqs, s3, batch = [
            await stack.enter_async_context(session.create_client(service, config=config))
            for service in ("sqs", "s3", "batch")
        ]
        yield Clients(sqs, s3, batch, Calls(observer))
