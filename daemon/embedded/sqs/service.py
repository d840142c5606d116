"""The embedded SQS behind HTTP, for any boto client that is given its address.

Where this departs from AWS: any credentials are accepted, nothing is throttled, and all is
forgotten when the service stops. A long poll whose client has gone takes no messages. Each module
of this package says what else it does differently.
"""

import asyncio
import random
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import structlog
from aiohttp import web

from daemon.embedded.front import Address, Front
from daemon.embedded.sqs import limits
from daemon.embedded.sqs.context import Context, Document
from daemon.embedded.sqs.errors import OverLimitError, SqsError
from daemon.embedded.sqs.message_operations import wait_seconds
from daemon.embedded.sqs.messages import Counts
from daemon.embedded.sqs.model import Account, SqsModel
from daemon.embedded.sqs.operations import perform
from daemon.embedded.sqs.protocol import CONTENT_TYPE, Protocol, write_refusal
from daemon.embedded.sqs.queue import Queue

REQUEST_MAX_BYTES = 8 * limits.MESSAGE_MAX_BYTES
"""More than the largest batch needs, as JSON writes it."""

log = structlog.get_logger(__name__)


class EmbeddedSqs:
    """Amazon SQS on this machine, from entering the context to leaving it.

    Port 0 takes a free one; `endpoint_url` says which. `clock` tells Unix seconds. `heard` is told
    the name of every operation that is asked for.
    """

    def __init__(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        account: Account | None = None,
        source: random.Random | None = None,
        clock: Callable[[], float] = time.time,
        in_flight_max: int = limits.IN_FLIGHT_MAX,
        heard: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._model = SqsModel(
            account or Account(), source or random.SystemRandom(), in_flight_max=in_flight_max
        )
        self._front = Front(Address(host, port), self._handle, call_max_bytes=REQUEST_MAX_BYTES)
        self._clock = clock
        self._heard = heard
        self._protocol = Protocol()
        self._changed = asyncio.Event()
        self._stopping = False

    async def __aenter__(self) -> Self:
        await self._front.listen()
        self._context = Context(self._model, self.endpoint_url)
        log.info("embedded_sqs_started", endpoint_url=self.endpoint_url)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stopping = True
        self._wake_polls()
        await self._front.close()
        log.info("embedded_sqs_stopped")

    @property
    def endpoint_url(self) -> str:
        """Where the service listens, for a client's `endpoint_url` or AWS_ENDPOINT_URL_SQS."""
        return self._front.url

    async def cut_off(self) -> None:
        """Break all connections, also those of long polls, and refuse new ones, until restored."""
        await self._front.cut_off()
        log.info("embedded_sqs_cut_off")

    async def restore(self) -> None:
        """Listen again, where it did before."""
        await self._front.listen()
        log.info("embedded_sqs_restored")

    def deliver(self, queue_arn: str, body: str) -> None:
        """Send a message for another service of the cloud; what cannot be sent is only logged."""
        queue = self._model.find(queue_arn)
        if queue is None:
            log.warning("event_without_queue", queue_arn=queue_arn)
            return
        try:
            queue.send(body, {}, self._clock())
        except SqsError as refusal:
            log.warning("event_refused", queue_arn=queue_arn, reason=str(refusal))
            return
        self._wake_polls()

    def counts(self, queue_arn: str) -> Counts:
        """How many messages a queue has; KeyError where there is no such queue."""
        queue = self._model.find(queue_arn)
        if queue is None:
            raise KeyError(queue_arn)
        return queue.counts(self._clock())

    async def _handle(self, request: web.Request) -> web.Response:
        target = request.headers.get("X-Amz-Target", "")
        try:
            operation, parameters = self._protocol.read(target, await request.read())
            self._heard(operation)
            if operation == "ReceiveMessage":
                answer = await self._receive(parameters)
            else:
                answer = perform(self._context, operation, parameters, self._clock())
                self._wake_polls()
            return _response(200, self._protocol.write(operation, answer), {})
        except SqsError as refusal:
            log.info("request_refused", target=target, reason=str(refusal))
            body, headers = write_refusal(refusal)
            return _response(refusal.http_status, body, headers)
        except web.HTTPException:
            raise
        except Exception:
            log.exception("request_failed", target=target)
            body = (
                b'{"__type": "InternalFailure", "message": "The embedded SQS failed; see its log."}'
            )
            return _response(500, body, {})

    async def _receive(self, parameters: dict[str, Any]) -> Document:
        """Answer as soon as there is a message, or when the wait is over."""
        queue = self._context.record(parameters).queue
        patience = wait_seconds(self._context, parameters)
        until = self._clock() + patience
        while True:
            answer: Document = {}
            given_up = queue.given_up
            try:
                answer = perform(self._context, "ReceiveMessage", parameters, self._clock())
            except OverLimitError:
                if not patience:
                    raise
            if queue.given_up > given_up:
                self._wake_polls()
            left = until - self._clock()
            if answer or left <= 0 or self._stopping:
                return answer
            await self._wait_for_change(queue, left)

    async def _wait_for_change(self, queue: Queue, most_seconds: float) -> None:
        """Wait until a request changed something, or time makes a message visible."""
        now_seconds = self._clock()
        times = (
            queue.next_visible_at(now_seconds),
            self._model.next_deadline(),
            now_seconds + most_seconds,
        )
        until = min(time for time in times if time is not None)
        try:
            async with asyncio.timeout(until - now_seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _wake_polls(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _response(status: int, body: bytes, headers: dict[str, str]) -> web.Response:
    headers["x-amzn-RequestId"] = str(uuid4())
    return web.Response(status=status, body=body, headers={**headers, "Content-Type": CONTENT_TYPE})
