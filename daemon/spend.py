"""What was spent today, as far as the daemons have seen: in the ledger, so that all share it.

Whoever looks at the fleet adds what ran since somebody last did, at the rate seen now. A look that
comes late, after a time without any daemon, adds no more than `GAP_MAX` of it. Days are UTC's.
"""

from datetime import datetime, timedelta

import structlog
from pydantic import AwareDatetime, Field

from daemon.metrics import Metrics
from daemon.ports import Conflict, Store
from daemon.unreadable import tell_unreadable
from neuron_worker.contract import Ledger, UnreadableDocument
from neuron_worker.contract.document import Document

log = structlog.get_logger()

GAP_MAX = timedelta(hours=1)
"""Without a daemon nothing new is ordered, and what ran has ended by then."""


class Spent(Document):
    """The dollars of one day, until a moment of it."""

    dollars: float = Field(ge=0)
    until: AwareDatetime


class Spend:
    """Keeps the sum."""

    def __init__(self, store: Store, ledger: Ledger, metrics: Metrics) -> None:
        self._store = store
        self._ledger = ledger
        self._metrics = metrics

    async def add(self, dollars_per_hour: float, now: datetime) -> float:
        """Add what a fleet of that price cost since the last look; the sum of today."""
        uri = self._ledger.spent(now.date().isoformat())
        found = await self._store.get_with_etag(uri)
        before = Spent(dollars=0.0, until=now)
        if found is not None:
            try:
                before = Spent.read(found[0], uri)
            except UnreadableDocument as error:
                tell_unreadable(error, self._metrics)
        hours = min(max(now - before.until, timedelta()), GAP_MAX) / timedelta(hours=1)
        spent = Spent(
            dollars=before.dollars + dollars_per_hour * hours,
            until=max(now, before.until),
        )
        try:
            await self._store.put_if(uri, spent.to_json(), found[1] if found else None)
        except Conflict:
            # Another daemon has just added the same.
            log.info("spend_added_elsewhere", day=str(now.date()))
        return spent.dollars
