"""The records in the ledger: what is known of one request, across all its orders."""

from datetime import datetime

from daemon.ports import Store
from neuron_worker.contract import Ledger, Outcome, Record


class Records:
    """Reads and extends the records of single requests."""

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    async def get(self, request_id: str) -> Record:
        """What is known of a request; an empty record where nothing is."""
        content = await self._store.get(self._ledger.record(request_id))
        if content is None:
            return Record(request_id=request_id)
        return Record.model_validate_json(content)

    async def add(self, outcome: Outcome) -> Record:
        """Add a failure, once per order. In a new order after a dead letter it starts afresh."""
        record = await self.get(outcome.request_id)
        if any(known.order_id == outcome.order_id for known in record.outcomes):
            return record
        if record.dead_lettered_at is not None:
            record = Record(request_id=record.request_id)
        record = record.model_copy(update={"outcomes": (*record.outcomes, outcome)})
        await self._put(record)
        return record

    async def dead_letter(self, record: Record, now: datetime) -> None:
        """Note that the request was given up."""
        await self._put(record.model_copy(update={"dead_lettered_at": now}))

    async def reject(self, request_id: str, detail: str, now: datetime) -> None:
        """Note that the request was refused before any order; what is known already stays."""
        record = await self.get(request_id)
        if record.done is None:
            await self._put(
                record.model_copy(update={"rejection": detail, "dead_lettered_at": now})
            )

    async def _put(self, record: Record) -> None:
        await self._store.put(self._ledger.record(record.request_id), record.to_json())
