"""Claims: which daemon may submit an order, and which job the order became.

SubmitJob takes no token against repeats, and ListJobs may not know a job that was just submitted.
So whoever wants to submit an order claims it first, by a document in the ledger that only one can
write, and submits within a short time; the job's id is then added. A claim without a job that is
old enough for ListJobs to be trusted can be taken over: by then its job is found, or there is none.
Invariant: of two daemons that submit the same order, the later one looked for the job of the other
after it can no longer appear.
"""

from datetime import datetime, timedelta

from pydantic import AwareDatetime

from daemon.metrics import Metrics
from daemon.ports import Conflict, Store
from daemon.unreadable import tell_unreadable
from neuron_worker.contract import Ledger, UnreadableDocument
from neuron_worker.contract.document import Document
from neuron_worker.contract.order import OrderId

SUBMIT_WITHIN = timedelta(seconds=30)
"""A claim older than this has to be renewed before the order is submitted."""

SUBMIT_CALL_SECONDS = 60.0
"""A submission that takes longer is given up; whether it was heard, only Batch knows."""

LISTED_WITHIN = timedelta(seconds=60)
"""A job that was submitted is found by ListJobs after this long. AWS says only "eventually":
UNVERIFIED, and generous against what was seen (Metaflow, pull request 543)."""

TAKEN_OVER_AFTER = SUBMIT_WITHIN + timedelta(seconds=SUBMIT_CALL_SECONDS) + LISTED_WITHIN
"""From then on, a claim without a job that can be found stands for no job."""


NOBODY_KNOWS = ""
"""The daemon of a claim that cannot be read."""


class Claim(Document):
    """Who may submit an order since when; the job's id once it is known."""

    order_id: OrderId
    daemon_id: str
    claimed_at: AwareDatetime
    job_id: str | None = None

    def may_submit(self, daemon_id: str, now: datetime) -> bool:
        """Whether that daemon may call SubmitJob now."""
        return self.daemon_id == daemon_id and now - self.claimed_at < SUBMIT_WITHIN

    def may_be_taken_over(self, now: datetime) -> bool:
        """Whether a job that is not found now was never submitted."""
        return now - self.claimed_at > TAKEN_OVER_AFTER


class Claims:
    """Reads and writes the claims of one daemon."""

    def __init__(self, store: Store, ledger: Ledger, daemon_id: str, metrics: Metrics) -> None:
        self.daemon_id = daemon_id
        self._metrics = metrics
        self._first_met: dict[str, datetime] = {}
        self._store = store
        self._ledger = ledger

    async def get(self, order_id: str, now: datetime) -> tuple[Claim, str] | None:
        """The claim on an order and its etag; None where nobody has claimed it.

        One that cannot be read was written before it was first met, by nobody knows whom.
        """
        uri = self._ledger.claim(order_id)
        found = await self._store.get_with_etag(uri)
        if found is None:
            return None
        content, etag = found
        try:
            return Claim.read(content, uri), etag
        except UnreadableDocument as error:
            if order_id not in self._first_met:
                tell_unreadable(error, self._metrics)
            first_met = self._first_met.setdefault(order_id, now)
            return Claim(order_id=order_id, daemon_id=NOBODY_KNOWS, claimed_at=first_met), etag

    async def make(
        self, order_id: str, now: datetime, etag: str | None
    ) -> tuple[Claim, str] | None:
        """Claim an order nobody has claimed, or take over the claim with that etag.

        None when somebody else was first.
        """
        claim = Claim(order_id=order_id, daemon_id=self.daemon_id, claimed_at=now)
        try:
            written = await self._store.put_if(self._ledger.claim(order_id), claim.to_json(), etag)
        except Conflict:
            return None
        return claim, written

    async def note_job(self, claim: Claim, job_id: str) -> None:
        """Add which job the order became."""
        noted = claim.model_copy(update={"job_id": job_id})
        await self._store.put(self._ledger.claim(claim.order_id), noted.to_json())

    async def forget(self, order_id: str) -> None:
        """Delete the claim on an order that is over."""
        self._first_met.pop(order_id, None)
        await self._store.delete(self._ledger.claim(order_id))
