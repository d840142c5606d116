"""Orders: writes a plan to the ledger, then submits it; knows the orders that are under way.

The order stands in S3 before SubmitJob is called, and Batch's job name is the order id: whoever
finds an open order can find its job, or submit it when there is none (see `claims`). Invariant:
every order in the ledger's `open/` has a job, or gets one by `drive`, and never two.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from daemon.breaker import Breakers
from daemon.claims import SUBMIT_CALL_SECONDS, Claim, Claims
from daemon.clock import Clock
from daemon.liveness import getting_on
from daemon.metrics import Metrics
from daemon.open_order import OpenOrder
from daemon.outstanding import Outstanding, Owed
from daemon.planner import Plan
from daemon.ports import (
    Batch,
    JobStatus,
    Refused,
    ServiceError,
    Store,
    Submission,
    Throttled,
    Unavailable,
)
from daemon.request import Hints, Rejected, Request, parse
from daemon.settings import Settings
from daemon.unreadable import tell_unreadable
from neuron_worker.contract import Ledger, Order, Range, S3Uri, Shard, UnreadableDocument

log = structlog.get_logger()

ORDER_VARIABLE = "WHISPER_FLEET_ORDER"
"""The environment variable that tells a worker its order's location."""

EVENTS_VARIABLE = "WHISPER_FLEET_EVENTS_QUEUE"
"""The environment variable that tells a worker which queue to ring."""

LISTING_FRESH = timedelta(seconds=10)
"""A message that comes back was hidden for longer than this after its order was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """The orders under way, in memory and in the ledger."""

    store: Store
    batch: Batch
    ledger: Ledger
    claims: Claims
    outstanding: Outstanding
    breakers: Breakers
    settings: Settings
    metrics: Metrics
    clock: Clock
    source: random.Random
    _open: dict[str, OpenOrder] = field(default_factory=dict, init=False)
    _unreadable: set[S3Uri] = field(default_factory=set, init=False)
    _adopting: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _listed_at: list[datetime] = field(default_factory=list, init=False)

    def under_way(self) -> list[OpenOrder]:
        """The orders that are not settled whole, oldest first."""
        return list(self._open.values())

    def named(self, order_ids: Iterable[str]) -> list[OpenOrder]:
        """Those of the orders that are under way here."""
        return [self._open[order_id] for order_id in order_ids if order_id in self._open]

    def slots_taken(self, lane: str) -> int:
        """How many shards of a lane still have something to do."""
        return sum(
            self.outstanding.owes(opened.order, index)
            for opened in self._open.values()
            if opened.order.lane == lane
            for index in range(len(opened.order.shards))
        )

    def is_starved(self, lane: str, slots: int) -> bool:
        """Whether an order waits for instances for too long, though slots are free for it."""
        mine = [opened for opened in self._open.values() if opened.order.lane == lane]
        since = self.clock() - timedelta(seconds=self.settings.planner.starved_after_seconds)
        waits = any(
            opened.submitted_at is not None and opened.submitted_at < since and not opened.begun
            for opened in mine
        )
        return waits and sum(len(one.order.shards) for one in mine if one.begun) < slots

    def jobs(self, lane: str) -> Counter[JobStatus]:
        """How many shards of a lane's orders are in which state, by the last look."""
        found = Counter[JobStatus]()
        for opened in self._open.values():
            if opened.order.lane == lane:
                found.update(opened.jobs())
        return found

    def unstarted_since(self, lane: str) -> datetime | None:
        """When the oldest order of a lane was made of which no job has begun, by the last look."""
        made = (
            opened.order.created_at
            for opened in self._open.values()
            if opened.order.lane == lane and opened.job is not None and not opened.begun
        )
        return min(made, default=None)

    async def place(self, plan: Plan) -> None:
        """Write the order, then submit it; its requests are under way from here on.

        If either fails, `drive` goes on where this ended.
        """
        order = self._order(plan)
        opened = OpenOrder(order, written=False, shard_seconds=plan.shard_seconds)
        self._open[order.order_id] = opened
        for item in order.items():
            owed = self._held(item.request_id)
            owed.ranges = item.range.count if item.range else None
            self.outstanding.move(owed, order.order_id)
        self.breakers.ordered(order.lane, order.order_id)
        getting_on()
        async with opened.turn:
            await self.drive(opened)

    async def drive(self, opened: OpenOrder) -> None:
        """Write the order if it is not, and find or submit its job; the caller has the turn."""
        if not opened.written:
            await self._write(opened)
        elif not await self._read_claim(opened):
            self._let_go(opened)
            return
        if opened.job_id is None:
            await self._obtain_job(opened)

    async def adopt(self) -> None:
        """Take over the open orders of whoever wrote them, and answer for their requests."""
        async with self._adopting:
            listed = await self.store.list(self.ledger.open_orders())
            strange = [entry.uri for entry in listed if self._is_strange(entry.uri)]
            contents = await asyncio.gather(*(self.store.get(uri) for uri in strange))
            orders = []
            for uri, content in zip(strange, contents, strict=True):
                if content is None:
                    # Closed by its daemon a moment ago.
                    continue
                try:
                    orders.append(self._read_order(content, uri))
                except UnreadableDocument as error:
                    self._unreadable.add(uri)
                    tell_unreadable(error, self.metrics)
            for order in sorted(orders, key=lambda order: order.created_at):
                self._open[order.order_id] = OpenOrder(order)
                for owed in self._owed_by(order):
                    self.outstanding.adopt(owed)
                log.info("order_adopted", order_id=order.order_id, requests=len(order.items()))
            self._listed_at[:] = [self.clock()]

    async def adopt_lately(self) -> None:
        """Adopt, unless that was done a moment ago."""
        async with self._adopting:
            fresh = self._listed_at and self.clock() - self._listed_at[0] < LISTING_FRESH
        if not fresh:
            await self.adopt()

    async def close(self, opened: OpenOrder) -> None:
        """Move the order out of the way: every request in it is settled."""
        order = opened.order
        await self.store.put(self.ledger.closed_order(order.order_id), order.to_json())
        await self.store.delete(self.ledger.open_order(order.order_id))
        await self.claims.forget(order.order_id)
        del self._open[order.order_id]
        self.breakers.closed(order.lane, order.order_id)
        log.info("order_closed", order_id=order.order_id)

    def withdraw_unwritten(self) -> None:
        """Hold the requests of orders that were never written: nobody else knows of them."""
        for opened in self.under_way():
            if not opened.written:
                del self._open[opened.order.order_id]
                for owed in self.outstanding.in_order(opened.order.order_id):
                    self.outstanding.move(owed, None)

    async def _write(self, opened: OpenOrder) -> None:
        order = opened.order
        await self.store.put(self.ledger.open_order(order.order_id), order.to_json())
        opened.written = True
        log.info(
            "order_written",
            order_id=order.order_id,
            lane=order.lane,
            shards=len(order.shards),
            requests=len(order.items()),
        )

    async def _read_claim(self, opened: OpenOrder) -> bool:
        """Learn whose the order is, if not ours; False when there is no such order any more."""
        order_id = opened.order.order_id
        if opened.claim is not None and opened.claim.daemon_id == self.claims.daemon_id:
            return True
        found = await self.claims.get(order_id, self.clock())
        opened.claim, opened.claim_etag = found or (None, None)
        # The claim goes after the order: none may mean that another daemon has closed it.
        return (
            found is not None or await self.store.get(self.ledger.open_order(order_id)) is not None
        )

    async def _obtain_job(self, opened: OpenOrder) -> None:
        """Find the order's job or submit it, if the claim allows; else a later call will."""
        order_id, now = opened.order.order_id, self.clock()
        claim = opened.claim
        if claim is not None and claim.job_id is not None:
            self._know_job(opened, claim.job_id)
            return
        mine = claim is not None and claim.daemon_id == self.claims.daemon_id and not opened.unsure
        if claim is not None and not mine:
            lane = self.settings.lane_named(opened.order.lane)
            job_id = await self.batch.find(lane.job_queue, order_id)
            if job_id is not None:
                self._know_job(opened, job_id)
                return
            if not claim.may_be_taken_over(now):
                return
        fresh = mine and claim is not None and self._may_submit(claim)
        if fresh or await self._claim(opened):
            await self._submit(opened)

    async def _claim(self, opened: OpenOrder) -> bool:
        """Claim the order, anew if need be; whether it may be submitted now."""
        made = await self.claims.make(opened.order.order_id, self.clock(), opened.claim_etag)
        opened.claim, opened.claim_etag = made or (None, None)
        if opened.claim is None:
            return False
        opened.unsure = False
        # Unless it took too long to write: the next call renews it.
        return self._may_submit(opened.claim)

    def _may_submit(self, claim: Claim) -> bool:
        return claim.may_submit(self.claims.daemon_id, self.clock())

    def _let_go(self, opened: OpenOrder) -> None:
        """Another daemon has closed the order: it answered for every request in it."""
        order = opened.order
        del self._open[order.order_id]
        owed = self.outstanding.in_order(order.order_id)
        self.outstanding.forget([one.item.request_id for one in owed])
        self.breakers.closed(order.lane, order.order_id)
        log.info("order_closed_elsewhere", order_id=order.order_id)

    def _know_job(self, opened: OpenOrder, job_id: str) -> None:
        opened.job_id = job_id
        opened.submitted_at = self.clock()
        log.info("order_found", order_id=opened.order.order_id, job_id=job_id)

    async def _submit(self, opened: OpenOrder) -> None:
        order = opened.order
        lane = self.settings.lane_named(order.lane)
        submission = Submission(
            name=order.order_id,
            job_queue=lane.job_queue,
            job_definition=lane.job_definition,
            size=len(order.shards),
            environment=self._environment(order),
        )
        opened.unsure = True
        try:
            async with asyncio.timeout(SUBMIT_CALL_SECONDS):
                opened.job_id = await self.batch.submit(submission)
        except TimeoutError as error:
            raise Unavailable(
                "batch", f"no answer to the submission of {order.order_id}"
            ) from error
        except Throttled:
            opened.unsure = False
            raise
        except Refused as refusal:
            opened.unsure = False
            self.breakers.failed(order.lane, order.order_id, str(refusal))
            raise
        opened.submitted_at = self.clock()
        self.metrics.fleet.orders.labels(lane.name).inc()
        self.metrics.fleet.shards.labels(lane.name).inc(len(order.shards))
        log.info("order_submitted", order_id=order.order_id, job_id=opened.job_id, lane=lane.name)
        if opened.claim is not None:
            try:
                await self.claims.note_job(opened.claim, opened.job_id)
            except ServiceError as error:
                # Whoever needs it finds the job by its name.
                log.warning("job_not_noted", order_id=order.order_id, cause=str(error))

    def _environment(self, order: Order) -> dict[str, str]:
        environment = {ORDER_VARIABLE: str(self.ledger.open_order(order.order_id))}
        if self.settings.queues.events is not None:
            environment[EVENTS_VARIABLE] = self.settings.queues.events
        return environment

    def _read_order(self, content: bytes, uri: S3Uri) -> Order:
        order = Order.read(content, uri)
        if self.ledger.open_order(order.order_id) != uri:
            raise UnreadableDocument(uri, "order", f"it is the order {order.order_id}")
        return order

    def _is_strange(self, uri: S3Uri) -> bool:
        order_id = uri.key.rpartition("/")[2].removesuffix(".json")
        return order_id not in self._open and uri not in self._unreadable

    def _order(self, plan: Plan) -> Order:
        lane = self.settings.lane_named(plan.lane)
        now = self.clock()
        owed = {request_id: self._held(request_id) for shard in plan.shards for request_id in shard}
        return Order(
            order_id=f"wf-{now:%Y%m%dT%H%M%S}-{self.source.getrandbits(32):08x}",
            profile=plan.profile,
            lane=lane.name,
            created_at=now,
            shards=_ranges(plan, owed)
            if plan.is_cut
            else tuple(
                Shard(items=tuple(owed[request_id].item for request_id in shard))
                for shard in plan.shards
            ),
            messages={request_id: one.newest for request_id, one in owed.items()},
        )

    def _held(self, request_id: str) -> Owed:
        owed = self.outstanding.get(request_id)
        if owed is None or owed.order_id is not None:
            raise KeyError(f"planned a request that is not held: {request_id}")
        return owed

    def _owed_by(self, order: Order) -> Iterable[Owed]:
        for item in order.items():
            message = order.messages.get(item.request_id)
            if message is None:
                # It comes back by itself; until then nothing is to be settled.
                log.error(
                    "message_not_in_order", order_id=order.order_id, request_id=item.request_id
                )
                continue
            request = _asked(message.body)
            yield Owed(
                item=item.model_copy(update={"range": None}),
                profile=order.profile,
                hints=request.hints() if request else Hints(),
                held_since=order.created_at,
                messages={message.message_id: message},
                priority=request.priority if request else 0,
                deadline=request.deadline if request else None,
                ranges=item.range.count if item.range else None,
                order_id=order.order_id,
            )


def _ranges(plan: Plan, owed: Mapping[str, Owed]) -> tuple[Shard, ...]:
    """A shard for each range of the plan's only request."""
    [one] = owed.values()
    parts = (Range(number=number, count=len(plan.shards)) for number in range(len(plan.shards)))
    return tuple(Shard(items=(one.item.model_copy(update={"range": part}),)) for part in parts)


def _asked(body: str) -> Request | None:
    """What a message asked for; None where another version of the daemon understood it."""
    try:
        requests = parse(body)
    except Rejected:
        return None
    return requests[0] if len(requests) == 1 else None
