"""What cannot be read in the ledger: it hurts what it is about, and nothing else."""

import asyncio

import pytest

from daemon.claims import TAKEN_OVER_AFTER
from daemon.ports import JobEnd, JobStatus
from daemon.simulation import clock
from daemon.simulation.line import Killed
from daemon.status import Stage, Watcher
from neuron_worker.contract import Reason, Record, S3Uri
from tests.reconciling import DIED, OK, Shop
from tests.settling import Desk, come_back, settle
from tests.simulated import LEDGER, Core, Services, outcome

pytestmark = pytest.mark.looptime

NONSENSE = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"colour": "red"}', b"[" * 10_000]
RECORD = LEDGER.record("r")
TORN = b'{"request_id": "r", "outco'


def unreadable(core: Core) -> float:
    return core.metrics.total("ledger_unreadable_total")


@pytest.mark.parametrize("content", NONSENSE)
async def test_a_report_that_cannot_be_read_says_nothing_and_the_others_are_settled(
    content: bytes,
) -> None:
    shop = await Shop().order("a", "b")
    shop.services.objects.put(LEDGER.report(shop.placed.order_id, 0), content)
    shop.report(shop.outcome("b"), shard=1)
    shop.array(JobStatus.RUNNING, of=2)
    await shop.round()
    await shop.round()

    assert shop.under_way() == ["a"]
    assert unreadable(shop.core) == 1, "it is read again though it is the same"
    shop.report(shop.outcome("a"))
    await shop.round()
    assert shop.under_way() == []


@pytest.mark.parametrize("end", [OK, DIED])
async def test_a_shard_whose_report_cannot_be_read_is_done_again_and_nobody_is_to_blame(
    end: JobEnd,
) -> None:
    shop = await Shop().order("a b")
    shop.services.objects.put(LEDGER.report(shop.placed.order_id, 0), TORN)
    shop.job(JobStatus.SUCCEEDED if end is OK else JobStatus.FAILED, end)
    await shop.round()

    assert shop.held() == ["a", "b"]
    assert [shop.blamed(name) for name in "ab"] == [0, 0]
    assert shop.core.orders.under_way() == []
    assert shop.core.metrics.total("lane_shut") == 0


@pytest.mark.parametrize("name", ["notes.txt", ".json", "1.json", "00000.json.bak", "00007.json"])
async def test_what_else_stands_beside_reports_is_nobodys(name: str) -> None:
    shop = await Shop().order("a")
    shop.services.objects.put(LEDGER.reports(shop.placed.order_id).join(name), b"hello")
    shop.report(shop.outcome("a"))
    shop.job(JobStatus.SUCCEEDED, OK)
    await shop.round()

    assert len(shop.services.deleted) == 1
    assert shop.core.orders.under_way() == []


@pytest.mark.parametrize("reason", [Reason.STORE_REFUSED, Reason.NOT_AUDIO])
@pytest.mark.parametrize("content", NONSENSE)
async def test_a_failure_whose_record_cannot_be_read_is_dead_lettered(
    content: bytes, reason: Reason
) -> None:
    desk = Desk()
    core = await desk.ordering()
    desk.services.objects.put(RECORD, content)
    await settle(core, desk.outcome(reason))

    assert desk.reasons == ["record_unreadable"]
    assert desk.services.deleted == desk.messages
    found = desk.services.objects.get(RECORD)
    assert found is not None
    assert found[0] == content, "what was there is kept"
    letter = desk.services.letters[0].attributes
    assert str(RECORD) in letter["detail"]
    assert letter["request_id"] == "r"
    assert unreadable(core) == 1


async def test_a_record_that_cannot_be_read_hurts_no_neighbour() -> None:
    shop = await Shop().order("r a b")
    shop.services.objects.put(RECORD, TORN)
    shop.report(*(shop.outcome(name, Reason.STORE_REFUSED) for name in "ra"), shop.outcome("b"))
    shop.job(JobStatus.SUCCEEDED, OK)
    await shop.round()

    assert shop.held() == ["a"]
    assert len(shop.services.deleted) == 2
    assert [letter.attributes["request_id"] for letter in shop.services.letters] == ["r"]


async def test_what_is_done_needs_no_record() -> None:
    desk = Desk()
    core = await desk.ordering()
    desk.services.objects.put(RECORD, TORN)
    await settle(core, desk.outcome())
    assert desk.services.deleted == desk.messages
    assert desk.services.letters == []


async def test_a_message_that_comes_back_to_a_record_that_cannot_be_read_is_rejected() -> None:
    services = Services()
    message_id = services.send("r")
    services.send("a")
    services.objects.put(RECORD, TORN)
    await services.lose_a_receive()
    core = Core(services)

    assert await core.take() == ["a"]
    assert services.deleted == [message_id]
    [letter] = services.letters
    assert letter.attributes["reason"] == "record_unreadable"
    assert letter.attributes["request_id"] == "r"
    assert services.objects.get(RECORD) is not None
    assert unreadable(core) == 1


async def test_a_request_that_was_given_up_for_nothing_cannot_be_read() -> None:
    services = Services()
    services.send("r")
    given_up = f'{{"request_id": "r", "dead_lettered_at": "{clock.now().isoformat()}"}}'
    services.objects.put(RECORD, given_up.encode())
    await services.lose_a_receive()
    assert await Core(services).take() == []
    assert [letter.attributes["reason"] for letter in services.letters] == ["record_unreadable"]


async def test_once_the_record_is_mended_a_redriven_request_is_done() -> None:
    desk = Desk()
    core = await desk.ordering()
    desk.services.objects.put(RECORD, TORN)
    await settle(core, desk.outcome(Reason.STORE_REFUSED))
    desk.services.write(Record(request_id="r"))
    desk.services.send("r")
    assert await core.take() == ["r"]


async def drive(core: Core) -> None:
    for opened in core.orders.under_way():
        async with opened.turn:
            await core.orders.drive(opened)


@pytest.mark.parametrize("content", NONSENSE)
@pytest.mark.parametrize("submitted", [True, False])
async def test_an_order_whose_claim_cannot_be_read_gets_one_job(
    content: bytes, submitted: bool
) -> None:
    services = Services()
    services.send("a")
    core = Core(services)
    await core.take()
    if submitted:
        await core.place("a")
    else:
        core.line.die(2, heard=False)
        with pytest.raises(Killed):
            await core.place("a")
    [order] = services.open_orders()
    services.objects.put(LEDGER.claim(order.order_id), content)
    other = Core(services, "other")
    await other.orders.adopt()
    await drive(other)
    assert len(services.jobs()) == submitted, "whoever wrote it may submit the order still"

    await asyncio.sleep(TAKEN_OVER_AFTER.total_seconds() + 1)
    await drive(other)
    assert [name for _, name in services.jobs()] == [order.order_id]
    assert unreadable(other) == 1


async def test_an_order_under_another_orders_name_is_left_alone() -> None:
    services = Services()
    services.send("a")
    core = Core(services)
    await core.take()
    await core.place("a")
    [order] = services.open_orders()
    services.objects.put(LEDGER.open_order("copy"), order.to_json())
    other = Core(services, "other")
    await other.orders.adopt()
    [opened] = other.orders.under_way()
    await other.orders.adopt()

    assert other.orders.under_way() == [opened]
    assert unreadable(other) == 1


async def test_a_request_whose_message_an_order_does_not_name_comes_back_by_itself() -> None:
    services = Services()
    for name in "ab":
        services.send(name)
    core = Core(services)
    await core.take()
    await core.place("a b")
    [order] = services.open_orders()
    torn = order.model_copy(update={"messages": {"b": order.messages["b"]}})
    services.objects.put(LEDGER.open_order(order.order_id), torn.to_json())
    await come_back()
    other = Core(services, "other")
    await other.orders.adopt()

    assert [owed.item.request_id for owed in other.outstanding.ordered()] == ["b"]
    assert await other.take() == ["a"]


async def test_where_requests_stand_is_told_beside_what_cannot_be_read() -> None:
    services = Services()
    services.write(Record(request_id="a", outcomes=(outcome("a", "o"),)))
    services.objects.put(RECORD, TORN)
    services.send("b")
    core = Core(services)
    await core.take()
    await core.place("b")
    [order] = services.open_orders()
    services.objects.put(LEDGER.report(order.order_id, 0), TORN)
    services.objects.put(LEDGER.open_order("strange"), TORN)
    store = services.cloud.world(core.line).store
    standings = await Watcher(store, LEDGER, ["a", "b", "r"]).look()

    assert [one.stage for one in standings] == [Stage.DONE, Stage.ORDERED, Stage.UNKNOWN]
    assert standings[2].stage.final, "who waits for it would wait for ever"
    assert str(RECORD) in standings[2].detail


def test_a_report_is_told_from_what_else_stands_there() -> None:
    for shard in (0, 7, 9_999):
        assert LEDGER.shard_index(LEDGER.report("o", shard)) == shard
    for name in ("", "7.json", "00007.txt", "00007.json.json", "x00007.json"):
        assert LEDGER.shard_index(S3Uri("ledger", f"orders/reports/o/{name}")) is None
