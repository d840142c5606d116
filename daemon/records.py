"""The records in the ledger: what is known of one request, across all its orders.

A record is written only over what was read: of two daemons and a worker that have something to say
about a request, each sees what the others said before. So the record decides: a request is done, or
it is given up, and never both.
"""

from collections.abc import Callable
from datetime import datetime

from daemon.ports import Conflict, Store, Unavailable
from neuron_worker.contract import Ledger, Outcome, Record

WRITES_MAX = 10
"""Each one that failed was another's success; so many at once for one request is no coincidence."""


class Records:
    """Reads and changes the records of single requests.

    Every method raises `UnreadableDocument` for a record that cannot be read, and leaves it as it
    is: what it says decides.
    """

    def __init__(self, store: Store, ledger: Ledger) -> None:
        self._store = store
        self._ledger = ledger

    async def get(self, request_id: str) -> Record:
        """What is known of a request; an empty record where nothing is."""
        return (await self._read(request_id))[0]

    async def add(self, outcome: Outcome, asked_at: datetime) -> Record:
        """Add a failure, once per order; one that is done or given up stays as it is.

        Asked for anew after a dead letter, a request starts afresh.
        """

        def added(record: Record) -> Record:
            before = record.outcomes if record.dead_lettered_at is None else ()
            known = any(known.order_id == outcome.order_id for known in before)
            if known or record.done or record.given_up_since(asked_at):
                return record
            return Record(request_id=record.request_id, outcomes=(*before, outcome))

        return await self._change(outcome.request_id, added)

    async def give_up(self, record: Record, message_ids: tuple[str, ...], now: datetime) -> Record:
        """Decide that a request is given up, unless it is done; its messages ask no more."""

        def given_up(record: Record) -> Record:
            if record.done:
                return record
            known = dict.fromkeys((*record.message_ids, *message_ids))
            return record.model_copy(
                update={
                    "dead_lettered_at": record.dead_lettered_at or now,
                    "message_ids": tuple(known),
                }
            )

        return await self._change(record.request_id, given_up)

    async def letter_sent(self, record: Record) -> None:
        """Note that the dead letter of a request that is given up was sent."""

        def noted(known: Record) -> Record:
            same = known.dead_lettered_at == record.dead_lettered_at
            return known.model_copy(update={"letter_sent": True}) if same else known

        await self._change(record.request_id, noted)

    async def reject(self, request_id: str, detail: str) -> None:
        """Note why a message was refused; it says nothing of another that asked for the same."""
        await self._change(
            request_id, lambda record: record.model_copy(update={"rejection": detail})
        )

    async def _change(self, request_id: str, change: Callable[[Record], Record]) -> Record:
        for _ in range(WRITES_MAX):
            record, etag = await self._read(request_id)
            changed = change(record)
            if changed == record:
                return record
            try:
                await self._store.put_if(self._ledger.record(request_id), changed.to_json(), etag)
            except Conflict:
                continue
            return changed
        raise Unavailable("s3", f"the record of {request_id} is changed by others all the time")

    async def _read(self, request_id: str) -> tuple[Record, str | None]:
        uri = self._ledger.record(request_id)
        found = await self._store.get_with_etag(uri)
        if found is None:
            return Record(request_id=request_id), None
        return Record.read(found[0], uri), found[1]
