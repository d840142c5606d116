from datetime import UTC, datetime

import pytest

from daemon.metrics import Metrics
from daemon.outstanding import Outstanding, Owed
from daemon.ports import Unavailable
from daemon.records import Records
from daemon.settings import RetrySettings
from daemon.settle import Settlement
from neuron_worker.contract import Ledger, Outcome, OutcomeKind, Reason, S3Uri, WorkItem
from neuron_worker.contract.order import Message
from tests.memory import MemoryQueue, MemoryStore

NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Desk:
    """A settlement of one request, `r1`, that is under way in the order `o1`."""

    def __init__(self, requests: MemoryQueue, dead_letters: MemoryQueue, attempts: int) -> None:
        self.requests, self.dead_letters = requests, dead_letters
        self.outstanding, self.metrics = Outstanding(), Metrics()
        self.records = Records(MemoryStore(), Ledger(S3Uri.parse("s3://ledger/")))
        item = WorkItem(request_id="r1", audio="s3://bucket/a", output="s3://out/")
        message = Message(message_id="m", receipt_handle="h", body="{}", received_at=NOW)
        owed = Owed(item, "tiny.en", 1.0, NOW, {"m": message}, order_id="o1")
        self.outstanding.admit(owed)
        self.settlement = Settlement(
            requests=requests,
            dead_letters=dead_letters,
            records=self.records,
            outstanding=self.outstanding,
            settings=RetrySettings(attempts_max=attempts),
            metrics=self.metrics,
            clock=lambda: NOW,
        )

    async def settle(self, reason: Reason | None) -> None:
        kind = reason.kind if reason else OutcomeKind.DONE
        outcome = Outcome(
            request_id="r1",
            order_id="o1",
            shard_index=0,
            kind=kind,
            reason=reason,
            finished_at=NOW,
        )
        await self.settlement.settle([outcome])


async def test_a_request_is_not_called_given_up_before_its_dead_letter_is_sent() -> None:
    desk = Desk(MemoryQueue(), MemoryQueue("send"), attempts=1)
    with pytest.raises(Unavailable):
        await desk.settle(Reason.WORKER_DIED)

    assert (await desk.records.get("r1")).dead_lettered_at is None
    assert desk.requests.deleted == []

    await desk.settle(Reason.WORKER_DIED)
    assert [one.attributes["reason"] for one in desk.dead_letters.sent] == ["worker_died"]
    assert (await desk.records.get("r1")).dead_lettered_at == NOW
    assert desk.requests.deleted == ["h"]


async def test_a_request_given_up_is_not_retried_when_its_message_could_not_be_deleted() -> None:
    desk = Desk(MemoryQueue("delete"), MemoryQueue(), attempts=2)
    first = Reason.STORE_UNAVAILABLE
    outcome = Outcome(
        request_id="r1",
        order_id="o0",
        shard_index=0,
        kind=first.kind,
        reason=first,
        finished_at=NOW,
    )
    await desk.records.add(outcome)
    with pytest.raises(Unavailable):
        await desk.settle(Reason.WORKER_DIED)

    await desk.settle(Reason.WORKER_DIED)

    assert desk.requests.deleted == ["h"]
    assert len(desk.outstanding) == 0
    assert desk.metrics.total("requests_retried_total") == 0
    assert {one.attributes["attempts"] for one in desk.dead_letters.sent} == {"2"}


async def test_a_finished_request_is_counted_once_even_if_deleting_fails_at_first() -> None:
    desk = Desk(MemoryQueue("delete"), MemoryQueue(), attempts=1)
    with pytest.raises(Unavailable):
        await desk.settle(None)

    await desk.settle(None)

    assert desk.metrics.total("requests_settled_total") == 1
    assert desk.requests.deleted == ["h"]
