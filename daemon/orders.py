"""Orders: writes a plan to the ledger, then submits it; knows the orders that are under way.

The order stands in S3 before SubmitJob is called, and Batch's job name is the order id: whoever
finds an open order can find its job, or submit it when there is none. Invariant: every order in
the ledger's `open/` has a job, or gets one by `submit_missing`, and never two.
"""

import asyncio
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from pydantic import ValidationError

from daemon.clock import Clock
from daemon.metrics import Metrics
from daemon.outstanding import Outstanding, Owed
from daemon.planner import Plan, estimate_seconds
from daemon.ports import Batch, Store, Submission
from daemon.settings import Settings
from neuron_worker.contract import Ledger, Order, Shard

log = structlog.get_logger()

ORDER_VARIABLE = "WHISPER_FLEET_ORDER"
"""The environment variable that tells a worker its order's location."""


@dataclass(slots=True)
class OpenOrder:
    """An order under way: its job once it is known, and what has been seen of it."""

    order: Order
    job_id: str | None = None
    submitted_at: datetime | None = None
    report_etags: dict[int, str] = field(default_factory=dict)
    ended_shards: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The orders under way, in memory and in the ledger."""

    store: Store
    batch: Batch
    ledger: Ledger
    outstanding: Outstanding
    settings: Settings
    metrics: Metrics
    clock: Clock
    _open: dict[str, OpenOrder] = field(default_factory=dict, init=False)
    _submitting: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    def under_way(self) -> list[OpenOrder]:
        """The orders that are not settled whole, oldest first."""
        return list(self._open.values())

    async def place(self, plan: Plan) -> None:
        """Write the order, then submit it. From the first write on, its requests are under way."""
        order = self._order(plan)
        await self.store.put(self.ledger.open_order(order.order_id), order.to_json())
        for item in order.items():
            if (owed := self.outstanding.get(item.request_id)) is not None:
                owed.order_id = order.order_id
        opened = OpenOrder(order)
        log.info(
            "order_written",
            order_id=order.order_id,
            lane=order.lane,
            shards=len(order.shards),
            requests=len(order.items()),
        )
        async with self._submitting:
            self._open[order.order_id] = opened
            await self._submit(opened)

    async def submit_missing(self) -> None:
        """Find or submit the job of every open order that has none that we know of."""
        for opened in self.under_way():
            async with self._submitting:
                if opened.job_id is None:
                    await self._find_or_submit(opened)

    async def adopt(self) -> None:
        """Take over the open orders of whoever wrote them, and answer for their requests."""
        listed = await self.store.list(self.ledger.open_orders())
        contents = await asyncio.gather(*(self.store.get(entry.uri) for entry in listed))
        orders = []
        for entry, content in zip(listed, contents, strict=True):
            try:
                orders.append(Order.model_validate_json(content or b""))
            except ValidationError as error:
                log.error("order_unreadable", uri=str(entry.uri), error=str(error))
        for order in sorted(orders, key=lambda order: order.created_at):
            self._open[order.order_id] = OpenOrder(order)
            for owed in self._owed_by(order):
                self.outstanding.admit(owed)
            log.info("order_adopted", order_id=order.order_id, requests=len(order.items()))
        await self.submit_missing()

    async def close(self, opened: OpenOrder) -> None:
        """Move the order out of the way: every request in it is settled."""
        order = opened.order
        await self.store.put(self.ledger.closed_order(order.order_id), order.to_json())
        await self.store.delete(self.ledger.open_order(order.order_id))
        del self._open[order.order_id]
        log.info("order_closed", order_id=order.order_id)

    async def _find_or_submit(self, opened: OpenOrder) -> None:
        lane = self.settings.lane_named(opened.order.lane)
        opened.job_id = await self.batch.find(lane.job_queue, opened.order.order_id)
        if opened.job_id is None:
            await self._submit(opened)
        else:
            opened.submitted_at = self.clock()

    async def _submit(self, opened: OpenOrder) -> None:
        order = opened.order
        lane = self.settings.lane_named(order.lane)
        opened.job_id = await self.batch.submit(
            Submission(
                name=order.order_id,
                job_queue=lane.job_queue,
                job_definition=lane.job_definition,
                size=len(order.shards),
                environment={ORDER_VARIABLE: str(self.ledger.open_order(order.order_id))},
            )
        )
        opened.submitted_at = self.clock()
        self.metrics.orders.labels(lane.name).inc()
        self.metrics.shards.labels(lane.name).inc(len(order.shards))
        log.info("order_submitted", order_id=order.order_id, job_id=opened.job_id, lane=lane.name)

    def _order(self, plan: Plan) -> Order:
        lane = self.settings.lane_for(plan.profile)
        now = self.clock()
        owed = {request_id: self._held(request_id) for shard in plan.shards for request_id in shard}
        return Order(
            order_id=f"wf-{now:%Y%m%dT%H%M%S}-{secrets.token_hex(4)}",
            profile=plan.profile,
            lane=lane.name,
            created_at=now,
            shards=tuple(
                Shard(items=tuple(owed[request_id].item for request_id in shard))
                for shard in plan.shards
            ),
            messages={request_id: one.message for request_id, one in owed.items()},
        )

    def _held(self, request_id: str) -> Owed:
        owed = self.outstanding.get(request_id)
        if owed is None or owed.order_id is not None:
            raise KeyError(f"planned a request that is not held: {request_id}")
        return owed

    def _owed_by(self, order: Order) -> Iterable[Owed]:
        for item in order.items():
            message = order.messages[item.request_id]
            yield Owed(
                item=item,
                profile=order.profile,
                estimate_seconds=estimate_seconds(None, None, self.settings.planner),
                held_since=order.created_at,
                messages={message.message_id: message},
                order_id=order.order_id,
            )
