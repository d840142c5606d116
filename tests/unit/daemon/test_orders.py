import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from daemon.metrics import Metrics
from daemon.orders import Orders
from daemon.outstanding import Outstanding, Owed
from daemon.planner import Plan
from daemon.ports import Job, Submission, Unavailable
from daemon.settings import load
from neuron_worker.contract import Ledger, Order, S3Uri, WorkItem
from neuron_worker.contract.order import Message
from tests.memory import MemoryStore

NOW = datetime(2026, 11, 23, tzinfo=UTC)
LEDGER = Ledger(S3Uri.parse("s3://ledger/"))
SETTINGS = load(Path(__file__).parents[3] / "config" / "daemon.toml")
PROFILE = SETTINGS.default_profile


class SlowBatch:
    """Batch's port where a submission takes until it is let through, or fails first."""

    def __init__(self, failures: int = 0) -> None:
        self.submitted: list[Submission] = []
        self.asked = asyncio.Event()
        self.let_through = asyncio.Event()
        self._failures = failures

    async def submit(self, submission: Submission) -> str:
        self.asked.set()
        await self.let_through.wait()
        if self._failures:
            self._failures -= 1
            raise Unavailable("batch", "no answer")
        self.submitted.append(submission)
        return f"job-of-{submission.name}"

    async def describe(self, job_ids: Iterable[str]) -> dict[str, Job]:
        return {}

    async def failed_children(self, job_id: str) -> list[int]:
        return []

    async def find(self, job_queue: str, name: str) -> str | None:
        return next((f"job-of-{name}" for one in self.submitted if one.name == name), None)

    async def set_floor(self, compute_environment: str, min_vcpus: int) -> None:
        raise AssertionError("orders have no say in this")


def holding(*names: str) -> Outstanding:
    outstanding = Outstanding()
    for name in names:
        message = Message(message_id=name, receipt_handle=f"h-{name}", body="{}", received_at=NOW)
        item = WorkItem(request_id=name, audio=f"s3://bucket/{name}", output="s3://out/")
        outstanding.admit(Owed(item, PROFILE, 1.0, NOW, {name: message}))
    return outstanding


def orders(store: MemoryStore, batch: SlowBatch, outstanding: Outstanding) -> Orders:
    return Orders(
        store=store,
        batch=batch,
        ledger=LEDGER,
        outstanding=outstanding,
        settings=SETTINGS,
        metrics=Metrics(),
        clock=lambda: NOW,
    )


async def test_the_order_is_in_the_ledger_before_it_is_submitted() -> None:
    store, batch, outstanding = MemoryStore(), SlowBatch(), holding("a", "b")
    placing = asyncio.create_task(
        orders(store, batch, outstanding).place(Plan(PROFILE, (("a",), ("b",))))
    )
    await batch.asked.wait()

    [content] = store.objects.values()
    order = Order.model_validate_json(content)
    assert [item.request_id for item in order.items()] == ["a", "b"]
    assert order.messages["a"].receipt_handle == "h-a"
    assert outstanding.held() == []

    batch.let_through.set()
    await placing
    [submission] = batch.submitted
    assert (submission.name, submission.size) == (order.order_id, 2)


async def test_looking_for_missing_jobs_meanwhile_submits_nothing_twice() -> None:
    batch = SlowBatch()
    placed = orders(MemoryStore(), batch, holding("a"))
    placing = asyncio.create_task(placed.place(Plan(PROFILE, (("a",),))))
    await batch.asked.wait()
    looking = asyncio.create_task(placed.submit_missing())
    await asyncio.sleep(0)

    batch.let_through.set()
    await asyncio.gather(placing, looking)

    assert len(batch.submitted) == 1


async def test_a_submission_that_failed_is_made_again() -> None:
    batch = SlowBatch(failures=1)
    batch.let_through.set()
    placed = orders(MemoryStore(), batch, holding("a"))
    with pytest.raises(Unavailable):
        await placed.place(Plan(PROFILE, (("a",),)))

    await placed.submit_missing()

    [opened] = placed.under_way()
    assert opened.job_id == f"job-of-{opened.order.order_id}"


async def test_a_closed_order_is_under_way_no_more() -> None:
    store, batch = MemoryStore(), SlowBatch()
    batch.let_through.set()
    placed = orders(store, batch, holding("a"))
    await placed.place(Plan(PROFILE, (("a",),)))

    await placed.close(placed.under_way()[0])

    assert placed.under_way() == []
    assert [uri.key.split("/")[:2] for uri in store.objects] == [["orders", "closed"]]


async def test_the_next_daemon_answers_for_the_requests_of_open_orders() -> None:
    store, batch = MemoryStore(), SlowBatch()
    batch.let_through.set()
    await orders(store, batch, holding("a", "b")).place(Plan(PROFILE, (("a",), ("b",))))

    outstanding = Outstanding()
    adopted = orders(store, batch, outstanding)
    await adopted.adopt()

    assert [owed.receipt_handles for owed in outstanding.ordered()] == [["h-a"], ["h-b"]]
    assert len(batch.submitted) == 1
