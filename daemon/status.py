"""Status: where requests stand, read from the ledger by anyone who may read it.

A request is in an open order, or has a record, or it is still waiting in the queue (SQS cannot be
asked for one message). `Watcher.look` costs two listings and a read per report that changed.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum

from daemon.ports import Store
from daemon.records import Records
from neuron_worker.contract import (
    Ledger,
    Order,
    Outcome,
    OutcomeKind,
    Record,
    S3Uri,
    ShardReport,
    UnreadableDocument,
)


class Stage(StrEnum):
    """How far a request is."""

    UNSEEN = "waiting in the queue, or never sent"
    ORDERED = "in an order, waiting for its turn"
    RUNNING = "being transcribed"
    RETRYING = "failed, waiting to be tried again"
    DONE = "done"
    DEAD_LETTERED = "given up, in the dead-letter queue"
    UNKNOWN = "unknown: its record cannot be read"

    @property
    def final(self) -> bool:
        """Whether nothing more will happen, or could be told."""
        return self in (Stage.DONE, Stage.DEAD_LETTERED, Stage.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one request stands; `outcome` is its newest, `seconds_done` of audio when it runs."""

    request_id: str
    stage: Stage
    order_id: str | None = None
    outcome: Outcome | None = None
    detail: str = ""
    seconds_done: float = 0.0
    audio_seconds: float | None = None


class Watcher:
    """Follows some requests; remembers what cannot change any more."""

    def __init__(self, store: Store, ledger: Ledger, request_ids: Iterable[str]) -> None:
        self._store = store
        self._ledger = ledger
        self._records = Records(store, ledger)
        self._standings = {
            request_id: Standing(request_id, Stage.UNSEEN) for request_id in request_ids
        }
        self._orders: dict[S3Uri, Order] = {}
        self._reports: dict[S3Uri, tuple[str, ShardReport]] = {}

    async def look(self) -> list[Standing]:
        """Where each request stands now, in the order they were given."""
        in_orders = await self._in_open_orders()
        for request_id, standing in self._standings.items():
            if standing.stage.final:
                continue
            now = in_orders.get(request_id)
            if now is None:
                now = await self._on_record(request_id)
            self._standings[request_id] = now
        return list(self._standings.values())

    async def _on_record(self, request_id: str) -> Standing:
        try:
            return _by_record(await self._records.get(request_id))
        except UnreadableDocument as error:
            return Standing(request_id, Stage.UNKNOWN, detail=str(error))

    async def _in_open_orders(self) -> dict[str, Standing]:
        """Standings of the requests that some open order still has to deal with."""
        listed = await self._store.list(self._ledger.open_orders())
        await asyncio.gather(*(self._read_order(entry.uri) for entry in listed))
        standings: dict[str, Standing] = {}
        for order in sorted(
            (self._orders[entry.uri] for entry in listed if entry.uri in self._orders),
            key=lambda order: order.created_at,
        ):
            if any(item.request_id in self._standings for item in order.items()):
                standings |= await self._in_order(order)
        return {name: one for name, one in standings.items() if one.stage is not Stage.RETRYING}

    async def _in_order(self, order: Order) -> dict[str, Standing]:
        standings = {
            item.request_id: Standing(item.request_id, Stage.ORDERED, order.order_id)
            for item in order.items()
        }
        reports = await self._read_reports(order)
        if order.is_cut:
            [item] = order.items()
            return {item.request_id: _of_ranges(item.request_id, order, reports)}
        for report in reports:
            for outcome in report.outcomes:
                done = outcome.kind is OutcomeKind.DONE
                # What a failure leads to, only the record tells.
                stage = Stage.DONE if done else Stage.RETRYING
                standings[outcome.request_id] = _with_outcome(outcome, stage)
            for in_hand in report.in_hand:
                standings[in_hand.request_id] = Standing(
                    in_hand.request_id,
                    Stage.RUNNING,
                    order.order_id,
                    seconds_done=in_hand.seconds_done,
                    audio_seconds=in_hand.audio_seconds,
                )
        return standings

    async def _read_order(self, uri: S3Uri) -> None:
        if uri not in self._orders and (content := await self._store.get(uri)) is not None:
            # One that cannot be read is the daemon's to report.
            with suppress(UnreadableDocument):
                self._orders[uri] = Order.read(content, uri)

    async def _read_reports(self, order: Order) -> list[ShardReport]:
        reports = []
        for entry in await self._store.list(self._ledger.reports(order.order_id)):
            etag, report = self._reports.get(entry.uri, (None, None))
            if report is None or etag != entry.etag:
                content = await self._store.get(entry.uri)
                if content is None:
                    continue
                try:
                    report = ShardReport.read(content, entry.uri)
                except UnreadableDocument:
                    continue
                self._reports[entry.uri] = (entry.etag, report)
            reports.append(report)
        return reports


def _of_ranges(request_id: str, order: Order, reports: Sequence[ShardReport]) -> Standing:
    """Of a recording that is cut: what its ranges have come to together."""
    outcomes = [outcome for report in reports for outcome in report.outcomes]
    done = next((one for one in outcomes if one.kind is OutcomeKind.DONE), None)
    if done is not None:
        return _with_outcome(done, Stage.DONE)
    hands = [in_hand for report in reports for in_hand in report.in_hand]
    ranges_seconds = sum(outcome.audio_seconds for outcome in outcomes)
    lengths = [hand.audio_seconds for hand in hands if hand.audio_seconds is not None]
    return Standing(
        request_id,
        Stage.RUNNING if hands or outcomes else Stage.ORDERED,
        order.order_id,
        seconds_done=ranges_seconds + sum(hand.seconds_done for hand in hands),
        audio_seconds=max(lengths, default=None),
    )


def _by_record(record: Record) -> Standing:
    if record.done is not None:
        return _with_outcome(record.done, Stage.DONE)
    if record.dead_lettered_at is not None:
        return _with_outcome(record.outcomes[-1], Stage.DEAD_LETTERED)
    if record.outcomes:
        return _with_outcome(record.outcomes[-1], Stage.RETRYING)
    if record.rejection:
        return Standing(record.request_id, Stage.DEAD_LETTERED, detail=record.rejection)
    return Standing(record.request_id, Stage.UNSEEN)


def _with_outcome(outcome: Outcome, stage: Stage) -> Standing:
    return Standing(
        outcome.request_id,
        stage,
        outcome.order_id,
        outcome=outcome,
        detail=outcome.detail,
        audio_seconds=outcome.audio_seconds or None,
    )
