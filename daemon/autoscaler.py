"""The autoscaler: how many vCPUs each lane keeps up, whatever Batch would do by itself.

A stateless reconciler but for one moment per lane, when it last had work. Each tick: while there is
work, the floor follows it, so that an order finds its instances booting while it still lingers;
afterwards the lane stays warm for a while and then goes to zero. Batch scales out above the floor
and in down to it. Invariant: the floor is a whole number of instances and never above the ceiling.
"""

import math
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from daemon.clock import Clock
from daemon.estimator import Estimator
from daemon.lanes import Lane
from daemon.metrics import Metrics
from daemon.outstanding import Outstanding
from daemon.planner import shard_target_seconds
from daemon.ports import Batch
from daemon.settings import Settings

log = structlog.get_logger()


def floor_vcpus(lane: Lane, work_seconds: float, shard_seconds: float, *, warm: bool) -> int:
    """The vCPUs that a lane should keep up for `work_seconds` of core time that are owed."""
    if not work_seconds:
        return lane.instance.vcpus if warm else 0
    slots = max(2, math.ceil(work_seconds / shard_seconds))
    instances = math.ceil(slots / lane.instance.cores)
    return min(instances, lane.max_vcpus // lane.instance.vcpus) * lane.instance.vcpus


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaler:
    """Owns the floor of every lane's compute environment."""

    batch: Batch
    outstanding: Outstanding
    estimator: Estimator
    settings: Settings
    metrics: Metrics
    clock: Clock
    _last_work: dict[str, datetime] = field(default_factory=dict, init=False)
    _floors: dict[str, int] = field(default_factory=dict, init=False)

    async def tick(self) -> None:
        """Set each lane's floor, where it has to change."""
        for lane in self.settings.lanes:
            if lane.compute_environment is None:
                continue
            floor = self._target(lane)
            if self._floors.get(lane.name) == floor:
                continue
            await self.batch.set_floor(lane.compute_environment, floor)
            self._floors[lane.name] = floor
            self.metrics.floor_vcpus.labels(lane.name).set(floor)
            log.info("floor_set", lane=lane.name, min_vcpus=floor)

    def _target(self, lane: Lane) -> int:
        now = self.clock()
        runs_profile = self.settings.lane_for(lane.profile) == lane
        owed = [*self.outstanding.held(), *self.outstanding.ordered()]
        costs = self.estimator.costs(lane.name)
        work_seconds = sum(
            costs.of_request(self.estimator.audio_seconds(one.hints))
            for one in owed
            if runs_profile and one.profile == lane.profile
        )
        if work_seconds:
            self._last_work[lane.name] = now
        last = self._last_work.get(lane.name)
        keep_warm_seconds = self.settings.autoscaler.keep_warm_seconds
        return floor_vcpus(
            lane,
            work_seconds,
            shard_target_seconds(costs, self.settings.planner),
            warm=last is not None and (now - last).total_seconds() < keep_warm_seconds,
        )
