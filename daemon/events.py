"""Events: which orders have news, so that reconcile looks at them now and not at its next round.

Two bells ring on the events queue: a worker's, when a request has an outcome, and Batch's, through
EventBridge, when a job, an array or one of its children has ended. An event says where to look,
never what is true, so it is deleted once it is read. Losing all of them costs nothing but latency.
"""

from collections.abc import Callable
from typing import Annotated, Literal

import structlog
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from daemon.metrics import Metrics
from daemon.ports import JobStatus, Queue, Received
from neuron_worker.contract import Ring
from neuron_worker.contract.order import OrderId

log = structlog.get_logger()

EVENTS_MAX = 10
VISIBILITY_SECONDS = 30
"""Only until the delete; an event that is delivered again rings again, and that is all."""


class _JobDetail(BaseModel):
    """A job's name is its order's id; the children of an array have their parent's name."""

    name: OrderId = Field(alias="jobName")
    status: JobStatus


class _JobStateChange(BaseModel):
    """Source: docs.aws.amazon.com/batch/latest/userguide/batch_job_events.html"""

    source: Literal["aws.batch"]
    kind: Literal["Batch Job State Change"] = Field(alias="detail-type")
    detail: _JobDetail


_EVENT: TypeAdapter[Ring | _JobStateChange] = TypeAdapter(
    Annotated[Ring | _JobStateChange, Field(discriminator="source")]
)


class Events:
    """Hears the queue and hands on, poll by poll, the ids of the orders that have news."""

    def __init__(
        self,
        queue: Queue,
        ring: Callable[[set[str]], None],
        wait_seconds: int,
        metrics: Metrics,
    ) -> None:
        self._queue = queue
        self._ring = ring
        self._wait_seconds = wait_seconds
        self._metrics = metrics

    async def poll(self) -> None:
        """One long poll: ring for what came, and delete it. Raises `ServiceError`."""
        received = await self._queue.receive(EVENTS_MAX, self._wait_seconds, VISIBILITY_SECONDS)
        if not received:
            return
        order_ids = {order_id for event in received if (order_id := self._order_id(event))}
        if order_ids:
            self._ring(order_ids)
        await self._queue.delete([event.receipt_handle for event in received])

    def _order_id(self, received: Received) -> str | None:
        """The order that an event is about; None where there is no news of any."""
        try:
            event = _EVENT.validate_json(received.body, extra="ignore")
        except ValidationError:
            self._metrics.requests.events.labels("other").inc()
            log.warning("event_not_understood", message_id=received.message_id)
            return None
        if isinstance(event, Ring):
            self._metrics.requests.events.labels("worker").inc()
            return event.order_id
        self._metrics.requests.events.labels("batch").inc()
        return event.detail.name if event.detail.status.ended else None
