"""The dispatcher: puts the parts together and keeps their loops running.

    intake ─► planner ─► orders ─► Batch ─► reconcile ─► settle

Start: check that the lanes are what is registered in Batch, adopt the open orders of whoever ran
before. Run: the loops, supervised. Stop: the receives in progress are drained, held messages become
visible again at once, and messages under way get a whole visibility timeout more, time for the next
daemon to adopt their orders.
"""

import asyncio
import math
import random
from collections.abc import Sequence
from itertools import chain

import structlog

from daemon.autoscaler import Autoscaler
from daemon.breaker import PROBE_REQUESTS, Breakers, Gate
from daemon.claims import Claims
from daemon.clock import Clock, utc_now
from daemon.estimator import Estimator
from daemon.events import Events
from daemon.gauges import Gauges
from daemon.heartbeat import Heartbeat
from daemon.intake import Intake
from daemon.lane_check import LaneMismatch, problems
from daemon.lanes import Lane
from daemon.metrics import Metrics
from daemon.orders import Orders
from daemon.outstanding import Outstanding
from daemon.planner import Candidate, LaneView, plan
from daemon.ports import Refused, ServiceError, World
from daemon.reconcile import Reconciler
from daemon.records import Records
from daemon.settings import Settings
from daemon.settle import Settlement
from daemon.spend import Spend
from daemon.supervision import RECOVERY_MIN_SECONDS, Loop, Supervisor, pause
from neuron_worker.contract import Ledger, S3Uri

log = structlog.get_logger()

PLAN_PERIOD_SECONDS = 0.5
GAUGE_PERIOD_SECONDS = 15.0
NEWS_PERIOD_SECONDS = 2.0
"""How often an order may be looked at because of events: workers may ring for it all the time."""

ADOPT_PERIOD_SECONDS = 900.0
"""How long an order whose daemon is gone may stay unknown, if none of its messages comes back."""

SILENCE_MAX_SECONDS = 300.0
"""Ten times the retry budget of one call: what is silent for longer hangs."""


class Dispatcher:
    """One daemon. `run` returns after a graceful stop and raises when a loop fails."""

    def __init__(
        self,
        settings: Settings,
        world: World,
        metrics: Metrics | None = None,
        clock: Clock = utc_now,
        source: random.Random | None = None,
    ) -> None:
        """`source` is where ids come from: the same seed gives the same ones."""
        source = source or random.SystemRandom()
        self.settings = settings
        self.metrics = metrics or Metrics()
        self.outstanding = Outstanding()
        self._world = world
        self._clock = clock
        self.started = asyncio.Event()
        self.stopping = asyncio.Event()
        ledger = Ledger(S3Uri.parse(settings.locations.ledger))
        records = Records(world.store, ledger)
        self._breakers = Breakers(self.metrics, clock)
        self._estimator = Estimator(settings.estimator, self.metrics)
        self._orders = Orders(
            store=world.store,
            batch=world.batch,
            ledger=ledger,
            claims=Claims(world.store, ledger, f"{source.getrandbits(64):016x}", self.metrics),
            outstanding=self.outstanding,
            breakers=self._breakers,
            settings=settings,
            metrics=self.metrics,
            clock=clock,
            source=source,
        )
        self._heartbeat = Heartbeat(
            world.requests, self.outstanding, settings.intake.visibility_seconds, self.metrics
        )
        self._intake = Intake(
            requests=world.requests,
            dead_letters=world.dead_letters,
            records=records,
            outstanding=self.outstanding,
            adopt=self._orders.adopt_lately,
            stopping=self.stopping,
            settings=settings,
            metrics=self.metrics,
            clock=clock,
        )
        self._reconciler = Reconciler(
            store=world.store,
            batch=world.batch,
            ledger=ledger,
            orders=self._orders,
            outstanding=self.outstanding,
            settlement=Settlement(
                requests=world.requests,
                dead_letters=world.dead_letters,
                batch=world.batch,
                records=records,
                outstanding=self.outstanding,
                breakers=self._breakers,
                estimator=self._estimator,
                stopping=self.stopping,
                settings=settings.retries,
                metrics=self.metrics,
                clock=clock,
            ),
            breakers=self._breakers,
            stopping=self.stopping,
            estimator=self._estimator,
            metrics=self.metrics,
            clock=clock,
        )
        self._autoscaler = Autoscaler(
            batch=world.batch,
            requests=world.requests,
            outstanding=self.outstanding,
            estimator=self._estimator,
            spend=Spend(world.store, ledger, self.metrics),
            settings=settings,
            metrics=self.metrics,
            clock=clock,
        )
        self._gauges = Gauges(
            requests=world.requests,
            dead_letters=world.dead_letters,
            outstanding=self.outstanding,
            orders=self._orders,
            estimator=self._estimator,
            lanes=settings.lanes,
            metrics=self.metrics,
            clock=clock,
        )
        self._loops: Sequence[Loop] = ()
        self._delayed = "not started yet"

    def stop(self) -> None:
        """Begin a graceful stop; harmless when repeated."""
        if not self.stopping.is_set():
            log.info("stopping", held=len(self.outstanding.held()))
            self.stopping.set()

    async def run(self) -> None:
        """Adopt, run until stopped, give back what is held."""
        if not await self._adopted():
            return
        # Made only now: adopting many orders takes its time, and that is no stall.
        self._loops = self._make_loops()
        log.info("started", lanes=[lane.name for lane in self.settings.lanes])
        self.started.set()
        try:
            supervisor = Supervisor(self._loops, self.stopping, self.metrics)
            await supervisor.run(self.settings.grace_seconds)
        finally:
            await self._give_back()

    async def _adopted(self) -> bool:
        """Check the lanes and adopt, as soon as AWS can be reached; False when stopped before."""
        while not self.stopping.is_set():
            try:
                await self._check_lanes()
                await self._orders.adopt()
                await self._gauges.measure()
            except ServiceError as error:
                self._delayed = str(error)
                log.warning("start_delayed", cause=self._delayed)
                await pause(RECOVERY_MIN_SECONDS, self.stopping)
            else:
                return True
        return False

    async def _check_lanes(self) -> None:
        """Raise `LaneMismatch` for a lane that would not put two jobs on each chip."""
        for lane in self.settings.lanes:
            try:
                found = await self._world.batch.registration(lane.job_queue, lane.job_definition)
            except Refused as refusal:
                # A role that may not look is no reason to stand still.
                log.warning("lane_not_checked", lane=lane.name, cause=str(refusal))
                continue
            if wrong := [*problems(lane, found)]:
                raise LaneMismatch(lane.name, wrong)

    def unhealthy(self) -> str | None:
        """Why the process should be restarted, or None."""
        stalled = [loop.name for loop in self._loops if loop.stalled]
        return f"stalled: {', '.join(stalled)}" if stalled else None

    def unready(self) -> str | None:
        """Why the daemon cannot work at the moment, or None."""
        if not self.started.is_set():
            return self._delayed
        return "; ".join(f"{loop.name}: {loop.fault}" for loop in self._loops if loop.fault) or None

    def standing(self) -> str:
        """How much there is to do, in a line."""
        return (
            f"{'stopping: ' if self.stopping.is_set() else ''}"
            f"{len(self.outstanding.held())} held, {len(self.outstanding.ordered())} under way in "
            f"{len(self._orders.under_way())} orders, "
            f"lanes {', '.join(lane.name for lane in self.settings.lanes)}"
        )

    def _make_loops(self) -> list[Loop]:
        settings = self.settings
        deadline = SILENCE_MAX_SECONDS
        return [
            *(
                Loop(f"intake-{number}", self._take, 0.0, deadline)
                for number in range(settings.intake.pollers)
            ),
            Loop("heartbeat", self._heartbeat.beat, self._heartbeat.period_seconds, deadline),
            Loop("planner", self._plan, PLAN_PERIOD_SECONDS, deadline),
            Loop("reconcile", self._reconciler.round, settings.reconcile.period_seconds, deadline),
            *self._news_loops(deadline),
            Loop("adopt", self._orders.adopt, ADOPT_PERIOD_SECONDS, deadline),
            Loop("autoscaler", self._autoscaler.tick, settings.autoscaler.period_seconds, deadline),
            Loop("gauges", self._gauges.measure, GAUGE_PERIOD_SECONDS, deadline),
        ]

    def _news_loops(self, deadline: float) -> list[Loop]:
        if self._world.events is None:
            return []
        events = Events(
            self._world.events,
            self._reconciler.ring,
            self.settings.intake.wait_seconds,
            self.metrics,
        )
        return [
            Loop("events", events.poll, 0.0, deadline),
            Loop("news", self._reconciler.look_at_news, NEWS_PERIOD_SECONDS, deadline),
        ]

    async def _take(self) -> None:
        if self._intake.full:
            await asyncio.sleep(PLAN_PERIOD_SECONDS)
        else:
            await self._intake.poll()

    async def _plan(self) -> None:
        held = self.outstanding.held()
        lanes = [self._view(lane) for lane in self.settings.lanes]
        if not held or not any(lane.room for lane in lanes):
            return
        candidates = [
            Candidate(
                request_id=owed.item.request_id,
                profile=owed.profile,
                audio_seconds=self._estimator.audio_seconds(owed.hints),
                held_since=owed.held_since,
                not_before=owed.not_before,
                alone=owed.alone,
                priority=owed.priority,
                deadline=owed.deadline,
                ranges=owed.ranges,
                sequential=owed.item.options.condition_on_previous,
            )
            for owed in held
        ]
        full, settings = self._intake.full, self.settings.planner
        orders = plan(candidates, lanes, settings, self._clock(), complete=full)
        if orders:
            # A copy that came to another daemon may be in an order of its already.
            await self._orders.adopt()
        for order in orders:
            if not all(map(self.outstanding.is_held, chain.from_iterable(order.shards))):
                # Adopted or settled while an earlier order was placed: the next round plans anew.
                return
            await self._orders.place(order)

    def _view(self, lane: Lane) -> LaneView:
        gate, slots = self._breakers.gate(lane.name), self._autoscaler.slots(lane)
        return LaneView(
            name=lane.name,
            profile=lane.profile,
            costs=self._estimator.costs(lane.name),
            slots=slots,
            taken=self._orders.slots_taken(lane.name),
            up=min(self._autoscaler.slots_up(lane), slots),
            requests_max={Gate.OPEN: math.inf, Gate.PROBE: PROBE_REQUESTS, Gate.SHUT: 0}[gate],
            slot_dollars_per_hour=lane.slot_dollars_per_hour,
            starved=self._orders.is_starved(lane.name, slots),
            lost_share=self._estimator.lost_share(lane.name),
        )

    async def _give_back(self) -> None:
        self._orders.withdraw_unwritten()
        try:
            released = await self._heartbeat.release_held()
            await self._heartbeat.beat()
        except ServiceError as error:
            # Visibility timeouts give the messages back all the same, only later.
            log.warning("messages_not_released", cause=str(error))
        else:
            log.info("stopped", released=released, under_way=len(self.outstanding))
