"""Reconcile: compares the orders under way with Batch and with what the workers reported.

A worker reports a request only after its transcript is in S3, and ends only after its last report.
So Batch is asked first and the reports are read afterwards: what a report of an ended job does not
name will never be named, and `blame` decides what became of it. Stateless but for the etags that
save reading a report twice; every round may be repeated. Only one works on an order at a time, and
nobody waits for that one. A recording that is cut is settled by the range that is done last, or at
once if it is bad; else when all its ranges have ended, for until then they are at work on it.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from daemon.blame import LOST, cause_of, end_of_ranges, end_of_shard, is_decided
from daemon.breaker import Breakers
from daemon.clock import Clock
from daemon.estimator import Estimator
from daemon.liveness import Stopping, getting_on
from daemon.metrics import Metrics
from daemon.open_order import OpenOrder
from daemon.orders import Orders
from daemon.outstanding import Outstanding
from daemon.ports import Batch, Job, JobEnd, JobStatus, Store
from daemon.settle import Settlement
from daemon.unreadable import tell_unreadable
from neuron_worker.contract import (
    Ledger,
    Outcome,
    OutcomeKind,
    Reason,
    ShardReport,
    UnreadableDocument,
)

log = structlog.get_logger()

JOB_MISSING_GRACE = timedelta(minutes=10)
"""DescribeJobs may not know a job just submitted; after this long, the job is lost."""

ORDERS_AT_ONCE = 16
REPORTS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """Drives every order under way to its end."""

    store: Store
    batch: Batch
    ledger: Ledger
    orders: Orders
    outstanding: Outstanding
    settlement: Settlement
    breakers: Breakers
    stopping: asyncio.Event
    estimator: Estimator
    metrics: Metrics
    clock: Clock
    _rung: set[str] = field(default_factory=set, init=False)

    async def round(self) -> None:
        """Look at every order once."""
        opened = self.orders.under_way()
        self._rung.intersection_update(one.order.order_id for one in opened)
        await self._look(opened)

    def ring(self, order_ids: set[str]) -> None:
        """Events say that there is news of some orders."""
        self._rung.update(order_ids)

    async def look_at_news(self) -> None:
        """Look at the orders that have news, out of turn."""
        rung = sorted(self._rung)
        self._rung.clear()
        if opened := self.orders.named(rung):
            await self._look(opened)

    async def _look(self, opened: list[OpenOrder]) -> None:
        jobs = await self.batch.describe(one.job_id for one in opened if one.job_id)
        at_once = asyncio.Semaphore(ORDERS_AT_ONCE)

        async def advance(one: OpenOrder) -> None:
            async with at_once:
                if not self.stopping.is_set():
                    await self._advance(one, jobs.get(one.job_id or ""))

        # All are waited for, also behind a failure: rounds must not pile up on one order.
        ends = await asyncio.gather(*map(advance, opened), return_exceptions=True)
        for error in ends:
            if error is not None and not isinstance(error, Stopping):
                raise error

    async def _advance(self, opened: OpenOrder, job: Job | None) -> None:
        if opened.turn.locked():
            # Another loop is at it. What is new may have come too late for that one.
            self._rung.add(opened.order.order_id)
            return
        async with opened.turn:
            if not self.orders.named([opened.order.order_id]):
                return
            if opened.job_id is None:
                await self.orders.drive(opened)
                return
            opened.job = job
            opened.begun = opened.begun or (job is not None and job.begun)
            await self._settle_reported(opened)
            ends = await self._newly_ended(opened, job)
            if opened.order.is_cut:
                await self._settle_ranges(opened, ends)
            else:
                for shard_index, end in ends.items():
                    await self._settle_ended(opened, shard_index, end)
            over = job.status.ended if job else len(opened.ended_shards) == len(opened.order.shards)
            if over and not self.outstanding.in_order(opened.order.order_id):
                await self.orders.close(opened)

    async def _settle_reported(self, opened: OpenOrder) -> None:
        listed = await self.store.list(self.ledger.reports(opened.order.order_id))
        # Something else that somebody put there is nobody's report.
        etags = {self.ledger.shard_index(entry.uri): entry.etag for entry in listed}
        changed = [
            index
            for index, etag in etags.items()
            if index is not None and opened.report_etags.get(index) != etag
        ]
        for start in range(0, len(changed), REPORTS_AT_ONCE):
            some = changed[start : start + REPORTS_AT_ONCE]
            reports = await asyncio.gather(*(self._report(opened, index) for index in some))
            getting_on()
            for index, report in zip(some, reports, strict=True):
                if report is not None:
                    if index not in opened.report_etags:
                        self.breakers.began(opened.order.lane)
                    await self._settle(opened, report.outcomes)
                    self._learn(opened, index, report)
                    self._count_range(opened, index, report)
                    opened.report_etags[index] = etags[index]

    async def _settle(self, opened: OpenOrder, outcomes: Sequence[Outcome]) -> None:
        order = opened.order
        if order.is_cut:
            outcomes = [*filter(is_decided, outcomes)]
        await self.settlement.settle(outcomes, order.lane, opened.job_of)

    def _learn(self, opened: OpenOrder, shard_index: int, report: ShardReport) -> None:
        """What a shard took, if one worker did all of it and nothing else."""
        order = opened.order
        items = order.shards[shard_index].items if shard_index < len(order.shards) else ()
        # Who joins ranges tells of the whole recording, not of its work.
        kind = OutcomeKind.RANGE_DONE if order.is_cut else OutcomeKind.DONE
        done = [one for one in report.outcomes if one.kind is kind]
        whole = {one.request_id for one in done} == {item.request_id for item in items}
        began_at = report.began_at
        if shard_index in opened.learned_shards or not whole or began_at is None:
            return
        opened.learned_shards.add(shard_index)
        if report.job_attempt > 1 or any(one.finished_at < began_at for one in done):
            return
        self.estimator.worked(
            order.lane,
            requests=len(done),
            audio_seconds=sum(one.audio_seconds for one in done),
            seconds=(max(one.finished_at for one in done) - began_at).total_seconds(),
            expected=opened.shard_seconds[shard_index] if opened.shard_seconds else None,
        )

    def _count_range(self, opened: OpenOrder, shard_index: int, report: ShardReport) -> None:
        """Count what a range took, once; that of whoever joins them is settled with the request."""
        for outcome in report.outcomes:
            if outcome.kind is OutcomeKind.RANGE_DONE and shard_index not in opened.counted_ranges:
                opened.counted_ranges.add(shard_index)
                self.metrics.workers.worked(opened.order.profile, outcome)

    async def _settle_ended(self, opened: OpenOrder, shard_index: int, end: JobEnd) -> None:
        if self.outstanding.owes(opened.order, shard_index):
            await self._settle_left(opened, shard_index, end)
        opened.ended_shards.add(shard_index)

    async def _settle_left(self, opened: OpenOrder, shard_index: int, end: JobEnd) -> None:
        order = opened.order
        report, outcomes = await self._outcomes(opened, shard_index, end)
        await self.settlement.settle(outcomes, order.lane, opened.job_of)
        # Only now: a shard that is settled a second time has failed once.
        self._note_failure(opened, report, end)

    async def _settle_ranges(self, opened: OpenOrder, ends: Mapping[int, JobEnd]) -> None:
        """Settle a recording whose ranges have all ended, if none of them did."""
        if ends and self.outstanding.in_order(opened.order.order_id):
            found = [await self._outcomes(opened, index, end) for index, end in ends.items()]
            outcome = end_of_ranges([one for _, outcomes in found for one in outcomes])
            await self.settlement.settle([outcome], opened.order.lane, opened.job_of)
            for (report, _), end in zip(found, ends.values(), strict=True):
                self._note_failure(opened, report, end)
        opened.ended_shards.update(ends)

    async def _outcomes(
        self, opened: OpenOrder, shard_index: int, end: JobEnd
    ) -> tuple[ShardReport | None, Sequence[Outcome]]:
        """The report of an ended shard, and what became of its requests."""
        report = await self._report(opened, shard_index)
        outcomes = end_of_shard(opened.order, shard_index, report, end, self.clock())
        return report, (*(report.outcomes if report else ()), *outcomes)

    def _note_failure(self, opened: OpenOrder, report: ShardReport | None, end: JobEnd) -> None:
        """Tell the lane's breaker of a worker that ended without a word."""
        cause = cause_of(end)
        if report is None and cause.suspect is not Reason.INTERRUPTED:
            self.breakers.failed(opened.order.lane, opened.order.order_id, cause.words)

    async def _report(self, opened: OpenOrder, shard_index: int) -> ShardReport | None:
        """What a worker has said; one that cannot be read says nothing but that it began."""
        uri = self.ledger.report(opened.order.order_id, shard_index)
        content = await self.store.get(uri)
        if content is None:
            return None
        try:
            return ShardReport.read(content, uri)
        except UnreadableDocument as error:
            tell_unreadable(error, self.metrics)
            return ShardReport(
                order_id=opened.order.order_id, shard_index=shard_index, updated_at=self.clock()
            )

    async def _newly_ended(self, opened: OpenOrder, job: Job | None) -> dict[int, JobEnd]:
        """How each shard ended that has ended since the last round, by shard index.

        Ranges of a recording end together.
        """
        every_shard = range(len(opened.order.shards))
        if job is None:
            if not self._is_lost(opened):
                return {}
            log.error("job_lost", order_id=opened.order.order_id, job_id=opened.job_id)
            ends = dict.fromkeys(every_shard, LOST)
        elif job.status is JobStatus.SUCCEEDED:
            ends = dict.fromkeys(every_shard, job.end)
        elif opened.order.is_cut and not job.status.ended:
            ends = {}
        elif len(opened.order.shards) == 1:
            ends = {0: job.end} if job.status.ended else {}
        elif job.children.get(JobStatus.FAILED, 0) > len(opened.ended_shards):
            ends = await self._failed_children(opened, job)
        else:
            ends = {}
        if job is not None and job.status.ended:
            # The children that did not fail have succeeded, or never ran and have no end.
            ends = {index: ends.get(index, job.end) for index in every_shard}
        return {index: end for index, end in ends.items() if index not in opened.ended_shards}

    async def _failed_children(self, opened: OpenOrder, job: Job) -> dict[int, JobEnd]:
        failed = await self.batch.failed_children(job.job_id)
        new = {f"{job.job_id}:{index}": index for index in failed}
        new = {name: index for name, index in new.items() if index not in opened.ended_shards}
        children = await self.batch.describe(new)
        return {new[name]: child.end for name, child in children.items()}

    def _is_lost(self, opened: OpenOrder) -> bool:
        return (
            opened.submitted_at is not None
            and self.clock() - opened.submitted_at > JOB_MISSING_GRACE
        )
