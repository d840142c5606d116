"""The autoscaler: between which bounds each lane's instances are, whatever Batch does by itself.

A reconciler. Each tick looks at the work that is owed or waits in the queue and at the instances
there are, and sets the floor and the ceiling of every compute environment anew. The floor follows
the work as soon as it is in the queue, so that instances boot while requests still linger; after
the last of it, one instance stays warm as long as the next request is likely, and then none. The
ceiling is what the budget allows: per hour at once, per day so early that what runs can end. Batch
scales between the two, and in by itself. What a daemon remembers is only how long lanes were idle;
what was spent today stands in the ledger (see `spend`).

Invariants: a floor is never above its ceiling, both are whole instances, and the ceilings of all
lanes together cost no more than the budget, or than what already runs.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from daemon.clock import Clock
from daemon.estimator import Estimator
from daemon.lanes import Lane
from daemon.metrics import Metrics
from daemon.outstanding import Outstanding
from daemon.planner import dollars_per_audio_hour, shortest_shard_seconds
from daemon.ports import Batch, Fleet, Queue, ServiceError
from daemon.request import Hints
from daemon.settings import AutoscalerSettings, Settings
from daemon.spend import Spend

log = structlog.get_logger()

GAPS_REMEMBERED = 20
GAPS_TO_JUDGE = 5
"""With fewer, nobody knows yet how often work comes."""

GAPS_COVERED = 0.9
"""Of the times without work, so many end while the lane is still warm."""

UNSEEN_MAX = timedelta(minutes=5)
"""Of a longer time between two looks, nobody can say what ran."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The vCPUs that a compute environment keeps up, and those it may have.

    `busy_vcpus` are those that work may be ordered for: as the budget runs out, fewer than run.
    """

    floor_vcpus: int
    ceiling_vcpus: int
    busy_vcpus: int


def wanted_instances(lane: Lane, work_seconds: float, shard_seconds: float) -> int:
    """How many instances should work on so many core-seconds, each core for a shard at least."""
    if work_seconds <= 0:
        return 0
    slots = max(2, math.ceil(work_seconds / shard_seconds))
    return min(math.ceil(slots / lane.instance.cores), lane.instances_max)


def affordable_instances(
    lanes: Sequence[Lane], running: Sequence[int], dollars_per_hour: float
) -> list[int]:
    """How many instances each lane may keep busy: those it has, then more, as the budget lasts.

    The first lanes are served first.
    """
    left = max(0.0, dollars_per_hour)
    allowed = [0] * len(lanes)
    for wanted in (running, [lane.instances_max for lane in lanes]):
        for index, (lane, most) in enumerate(zip(lanes, wanted, strict=True)):
            more = max(0, min(most, lane.instances_max) - allowed[index])
            if more * lane.dollars_per_hour > left:
                more = int(left / lane.dollars_per_hour)
            allowed[index] += more
            left -= more * lane.dollars_per_hour
    return allowed


def warm_seconds(gaps_seconds: Sequence[float], settings: AutoscalerSettings) -> float:
    """How long to stay warm without work: until most of the gaps so far were over, within bounds.

    Where most gaps are longer than a lane may wait, as long as a boot would take: then waiting and
    booting cost the same, and neither twice what the better one would have (ski rental; Karlin et
    al., "Competitive snoopy caching", 1988).
    """
    if len(gaps_seconds) < GAPS_TO_JUDGE:
        return settings.keep_warm_seconds
    ordered = sorted(gaps_seconds)
    if ordered[len(ordered) // 2] > settings.keep_warm_seconds:
        return min(settings.boot_seconds, settings.keep_warm_seconds)
    return min(settings.keep_warm_seconds, ordered[int(GAPS_COVERED * (len(ordered) - 1))] * 1.1)


@dataclass(slots=True)
class _Memory:
    """Of one lane: when it was looked at and had work last, and how long it was without work."""

    looked_at: datetime | None = None
    worked_at: datetime | None = None
    gaps_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=GAPS_REMEMBERED))

    def note_work(self, now: datetime, period_seconds: float) -> None:
        if self.worked_at is not None:
            gap_seconds = (now - self.worked_at).total_seconds()
            if gap_seconds > 1.5 * period_seconds:
                self.gaps_seconds.append(gap_seconds)
        self.worked_at = now

    def is_warm(self, now: datetime, settings: AutoscalerSettings) -> bool:
        if self.worked_at is None:
            return False
        idle = now - self.worked_at
        return idle < timedelta(seconds=warm_seconds(self.gaps_seconds, settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaler:
    """Owns the bounds of every lane's compute environment."""

    batch: Batch
    requests: Queue
    outstanding: Outstanding
    estimator: Estimator
    spend: Spend
    settings: Settings
    metrics: Metrics
    clock: Clock
    _memories: dict[str, _Memory] = field(default_factory=dict, init=False)
    _busy_vcpus: dict[str, int] = field(default_factory=dict, init=False)
    _up_vcpus: dict[str, int] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """The budget does not change while the daemon runs."""
        self.metrics.fleet.budget_per_hour.set(self.settings.autoscaler.dollars_per_hour_max)
        self.metrics.fleet.budget_per_day.set(self.settings.autoscaler.dollars_per_day_max)

    def slots_up(self, lane: Lane) -> int:
        """How many slots of a lane had an instance, or one on its way, at the last look."""
        return self._up_vcpus.get(lane.name, 0) // lane.instance.vcpus * lane.instance.cores

    def slots(self, lane: Lane) -> int:
        """How many shards of a lane may run at once, as far as the budget allows."""
        vcpus = self._busy_vcpus.get(lane.name, lane.max_vcpus)
        return vcpus // lane.instance.vcpus * lane.instance.cores

    async def tick(self) -> None:
        """Set the bounds of each lane, where they have to change. `ServiceError` without a look."""
        owned = [lane for lane in self.settings.lanes if lane.compute_environment is not None]
        if not owned:
            return
        fleets = await self.batch.fleets(str(lane.compute_environment) for lane in owned)
        lanes = [lane for lane in owned if lane.compute_environment in fleets]
        for lane in owned:
            if lane not in lanes:
                name = lane.compute_environment
                log.error("compute_environment_missing", lane=lane.name, compute_environment=name)
        self._measure(owned, fleets)
        seen = [fleets[str(lane.compute_environment)] for lane in lanes]
        dollars_per_hour = await self._budget(lanes, seen)
        for lane, fleet, bounds in zip(
            lanes, seen, await self._targets(lanes, seen, dollars_per_hour), strict=True
        ):
            self._up_vcpus[lane.name] = fleet.desired_vcpus
            if fleet.fault:
                log.warning("compute_environment_unusable", lane=lane.name, cause=fleet.fault)
            if not self.settings.autoscaler.dry_run:
                self._busy_vcpus[lane.name] = bounds.busy_vcpus
            if (bounds.floor_vcpus, bounds.ceiling_vcpus) != (fleet.min_vcpus, fleet.max_vcpus):
                await self._set(lane, bounds)

    def _measure(self, lanes: Sequence[Lane], fleets: Mapping[str, Fleet]) -> None:
        """What each lane has, and what that has cost since the last look."""
        now, metrics = self.clock(), self.metrics.fleet
        for lane in lanes:
            memory = self._memories.setdefault(lane.name, _Memory())
            unseen = min(max(now - (memory.looked_at or now), timedelta()), UNSEEN_MAX)
            memory.looked_at = now
            fleet = fleets.get(str(lane.compute_environment))
            instances = _instances(lane, fleet) if fleet else 0
            dollars = instances * lane.dollars_per_hour * (unseen / timedelta(hours=1))
            metrics.slots_up.labels(lane.name).set(instances * lane.instance.cores)
            metrics.unusable.labels(lane.name).set(fleet is None or bool(fleet.fault))
            metrics.lane_dollars.labels(lane.name).inc(dollars)

    async def _budget(self, lanes: Sequence[Lane], fleets: Sequence[Fleet]) -> float:
        """Dollars per hour that may run from now on."""
        settings = self.settings.autoscaler
        rate = sum(
            _instances(lane, fleet) * lane.dollars_per_hour
            for lane, fleet in zip(lanes, fleets, strict=True)
        )
        self.metrics.fleet.dollars_per_hour.set(rate)
        budget = settings.dollars_per_hour_max
        if math.isfinite(settings.dollars_per_day_max):
            spent = await self.spend.add(rate, self.clock())
            self.metrics.fleet.dollars_today.set(spent)
            # What runs needs so long to end, and costs as much until then.
            ending_hours = (self.settings.planner.shard_max_seconds + settings.idle_seconds) / 3600
            budget = min(budget, (settings.dollars_per_day_max - spent) / ending_hours)
        return budget

    async def _targets(
        self, lanes: Sequence[Lane], fleets: Sequence[Fleet], dollars_per_hour: float
    ) -> list[Bounds]:
        settings, now = self.settings.autoscaler, self.clock()
        running = [_instances(lane, fleet) for lane, fleet in zip(lanes, fleets, strict=True)]
        allowed = affordable_instances(lanes, running, dollars_per_hour)
        depth = await self.requests.depth()
        targets = []
        for lane, has, may in zip(lanes, running, allowed, strict=True):
            memory = self._memories.setdefault(lane.name, _Memory())
            work_seconds = self._work_seconds(lane, depth.visible)
            if work_seconds:
                memory.note_work(now, settings.period_seconds)
            shortest = shortest_shard_seconds(
                self.estimator.costs(lane.name), self.settings.planner
            )
            wanted = wanted_instances(lane, work_seconds, shortest)
            if not wanted and memory.is_warm(now, settings):
                wanted = 1
            vcpus = lane.instance.vcpus
            # A ceiling below what runs would not end it, and Batch may refuse it.
            ceiling = min(max(may, has), lane.instances_max)
            targets.append(Bounds(min(wanted, may) * vcpus, ceiling * vcpus, may * vcpus))
        return targets

    def _work_seconds(self, lane: Lane, waiting: int) -> float:
        """Core-seconds that are owed, on the cheapest lane of their profile: the planner's first
        choice. What waits in the queue is of the usual profile. Others Batch scales by itself.
        """
        if self._cheapest(lane.profile) != lane:
            return 0.0
        costs = self.estimator.costs(lane.name)
        owed = [*self.outstanding.held(), *self.outstanding.ordered()]
        work_seconds = sum(
            costs.of_request(self.estimator.audio_seconds(one.hints))
            for one in owed
            if one.profile == lane.profile
        )
        if lane.profile == self.settings.default_profile:
            work_seconds += waiting * costs.of_request(self.estimator.audio_seconds(Hints()))
        return work_seconds

    def _cheapest(self, profile: str) -> Lane:
        return min(
            (lane for lane in self.settings.lanes if lane.profile == profile),
            key=lambda lane: dollars_per_audio_hour(
                lane.slot_dollars_per_hour,
                self.estimator.costs(lane.name),
                self.estimator.lost_share(lane.name),
            ),
        )

    async def _set(self, lane: Lane, bounds: Bounds) -> None:
        told = {"min_vcpus": bounds.floor_vcpus, "max_vcpus": bounds.ceiling_vcpus}
        if self.settings.autoscaler.dry_run:
            log.info("bounds_would_be_set", lane=lane.name, **told)
            return
        try:
            await self.batch.set_bounds(
                str(lane.compute_environment), bounds.floor_vcpus, bounds.ceiling_vcpus
            )
        except ServiceError as error:
            # The other lanes are not to wait; the next tick tries again.
            self.metrics.fleet.bounds_refused.labels(lane.name).inc()
            log.warning("bounds_not_set", lane=lane.name, cause=str(error), **told)
            return
        self.metrics.fleet.floor_vcpus.labels(lane.name).set(bounds.floor_vcpus)
        self.metrics.fleet.ceiling_vcpus.labels(lane.name).set(bounds.ceiling_vcpus)
        log.info("bounds_set", lane=lane.name, **told)


def _instances(lane: Lane, fleet: Fleet) -> int:
    """Those that run or boot."""
    return math.ceil(fleet.desired_vcpus / lane.instance.vcpus)
