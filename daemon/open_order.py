"""An order under way, as one daemon knows it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from daemon.claims import Claim
from daemon.ports import Job, JobStatus
from neuron_worker.contract import Order


@dataclass(slots=True, eq=False)
class OpenOrder:
    """An order under way: its job once it is known, and what has been seen of it.

    `shard_seconds` are what the shards should take; of an order that was adopted, nobody knows.
    `unsure` says that Batch may have heard a submission that was not answered; `begun`, that some
    shard has an instance, or had one. `job` is what Batch said last. Whoever works on the order
    holds `turn`.
    """

    order: Order
    written: bool = True
    shard_seconds: tuple[float, ...] = ()
    claim: Claim | None = None
    claim_etag: str | None = None
    unsure: bool = False
    job_id: str | None = None
    submitted_at: datetime | None = None
    report_etags: dict[int, str] = field(default_factory=dict)
    ended_shards: set[int] = field(default_factory=set)
    learned_shards: set[int] = field(default_factory=set)
    counted_ranges: set[int] = field(default_factory=set)
    job: Job | None = None
    begun: bool = False
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def jobs(self) -> Mapping[JobStatus, int]:
        """How many of its shards were in which state when Batch was asked last."""
        if self.job is None:
            return {}
        return self.job.children or {self.job.status: len(self.order.shards)}

    def job_of(self, shard_index: int) -> str | None:
        """The id of the job that is one shard."""
        if self.job_id is None or len(self.order.shards) == 1:
            return self.job_id
        return f"{self.job_id}:{shard_index}"
