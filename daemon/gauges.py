"""Gauges: what is measured by looking now and then, and not when something happens."""

from collections.abc import Sequence
from dataclasses import dataclass

from daemon.clock import Clock
from daemon.estimator import Estimator
from daemon.lanes import Lane
from daemon.metrics import Metrics
from daemon.orders import Orders
from daemon.outstanding import Outstanding
from daemon.ports import JobStatus, Queue


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauges:
    """Sets the gauges of queues, requests and lanes."""

    requests: Queue
    dead_letters: Queue
    outstanding: Outstanding
    orders: Orders
    estimator: Estimator
    lanes: Sequence[Lane]
    metrics: Metrics
    clock: Clock

    async def measure(self) -> None:
        """Look once. `ServiceError` when a queue cannot be asked; the rest is set by then."""
        self._measure_requests()
        for lane in self.lanes:
            self._measure_lane(lane.name)
        depth = await self.requests.depth()
        self.metrics.requests.queue_visible.set(depth.visible)
        self.metrics.requests.queue_in_flight.set(depth.in_flight)
        letters = await self.dead_letters.depth()
        self.metrics.requests.letters_waiting.set(letters.visible + letters.in_flight)

    def _measure_requests(self) -> None:
        metrics = self.metrics.requests
        metrics.held.set(len(self.outstanding.held()))
        metrics.in_flight.set(len(self.outstanding.ordered()))
        metrics.orders_open.set(len(self.orders.under_way()))
        sent_at = self.outstanding.oldest_sent_at()
        age_seconds = (self.clock() - sent_at).total_seconds() if sent_at else 0.0
        # The queue's clock may be ahead.
        metrics.oldest_age_seconds.set(max(0.0, age_seconds))

    def _measure_lane(self, lane: str) -> None:
        metrics = self.metrics.fleet
        jobs = self.orders.jobs(lane)
        for status in JobStatus:
            if not status.ended:
                metrics.jobs.labels(lane, status.lower()).set(jobs[status])
        since = self.orders.unstarted_since(lane)
        waits_seconds = (self.clock() - since).total_seconds() if since else 0.0
        metrics.unstarted_seconds.labels(lane).set(max(0.0, waits_seconds))
        metrics.lost_share.labels(lane).set(self.estimator.lost_share(lane))
