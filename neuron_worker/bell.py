"""The bell: tells the dispatcher that there is something to settle, so that it need not wait.

A courtesy: the dispatcher comes by in any case. So the bell never fails and never holds the shard
up; it rings in a thread of its own, is quick to give up, and what it could not tell is not told.
"""

import re
import threading
from typing import Any, Self
from urllib.parse import urlsplit

import structlog
from boto3.session import Session
from botocore.config import Config

from neuron_worker.contract.ring import Ring

log = structlog.get_logger()

PERIOD_SECONDS = 1.0
"""From one ring to the next, but for the last."""

CONNECT_TIMEOUT_SECONDS = 2
READ_TIMEOUT_SECONDS = 3
LAST_RING_SECONDS = 5.0
"""How long the end of the shard waits for the last ring."""


class Bell:
    """Rings a queue for one shard, from entering the context to leaving it; silent without a queue.

    Rings that come faster than once a second are one; leaving always rings once more.
    """

    def __init__(self, queue_url: str | None, order_id: str, shard_index: int) -> None:
        self._queue_url = queue_url
        self._ring = Ring(source="whisper-fleet.worker", order_id=order_id, shard_index=shard_index)
        self._asked = threading.Event()
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._toll, name="bell", daemon=True)

    def __enter__(self) -> Self:
        if self._queue_url:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._leaving.set()
        self._asked.set()
        if self._queue_url:
            self._thread.join(LAST_RING_SECONDS)

    def ring(self) -> None:
        """Say that there is an outcome; returns at once."""
        self._asked.set()

    def _toll(self) -> None:
        sqs: Any = None
        leaving = False
        while not leaving:
            self._asked.wait()
            self._asked.clear()
            leaving = self._leaving.is_set()
            try:
                sqs = sqs or _client(str(self._queue_url))
                sqs.send_message(
                    QueueUrl=self._queue_url, MessageBody=self._ring.to_json().decode()
                )
            except Exception as error:
                log.warning("bell_not_heard", cause=str(error))
            self._leaving.wait(PERIOD_SECONDS)


def _client(queue_url: str) -> Any:
    """A client that gives up soon, in a session of its own: boto's default one is not for threads.

    Batch tells a container no region, but an address of AWS names it.
    """
    host = urlsplit(queue_url).hostname or ""
    region = re.fullmatch(r"sqs(?:-fips)?\.([a-z0-9-]+)\.amazonaws\.com(?:\.cn)?", host)
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_SECONDS,
        read_timeout=READ_TIMEOUT_SECONDS,
        retries={"total_max_attempts": 1},
    )
    return Session(region_name=region[1] if region else None).client("sqs", config=config)
