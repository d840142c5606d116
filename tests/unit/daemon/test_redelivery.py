"""Messages that come back to intake: what becomes of them, by what the ledger knows."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from daemon.ports import Unavailable
from daemon.simulation import clock
from neuron_worker.contract import Outcome, Reason, Record
from tests.simulated import VISIBILITY_SECONDS, Core, Services, outcome

pytestmark = pytest.mark.looptime

DIED, REFUSED, BAD = Reason.WORKER_DIED, Reason.STORE_REFUSED, Reason.NOT_AUDIO
LOST = Reason.INTERRUPTED


def known(*reasons: Reason | None) -> tuple[Outcome, ...]:
    return tuple(outcome("r", f"o{number}", reason) for number, reason in enumerate(reasons))


async def test_a_message_that_comes_back_unknown_is_held() -> None:
    services = Services()
    services.send("r")
    await services.lose_a_receive()
    core = Core(services)
    assert await core.take() == ["r"]
    assert core.line.log.count("ListObjectsV2") == 1


@pytest.mark.parametrize(
    ("reasons", "attempt", "alone", "wait_seconds"),
    [
        ((REFUSED,), 2, False, 30),
        ((DIED,), 2, True, 30),
        ((DIED, REFUSED), 3, False, 60),
        ((LOST, LOST, LOST), 1, False, 120),
        ((LOST,) * 20, 1, False, 900),
    ],
    ids=["away", "died", "twice", "thrice lost", "lost all the time"],
)
async def test_a_request_that_failed_goes_on_where_its_record_ends(
    reasons: tuple[Reason, ...], attempt: int, alone: bool, wait_seconds: int
) -> None:
    services = Services()
    services.send("r")
    services.write(record := Record(request_id="r", outcomes=known(*reasons)))
    await services.lose_a_receive()
    core = Core(services)
    assert await core.take() == ["r"]

    [owed] = core.outstanding.held()
    assert (owed.item.attempt, owed.alone) == (attempt, alone)
    failed_at = record.outcomes[-1].finished_at
    assert owed.not_before == failed_at + timedelta(seconds=wait_seconds)
    assert services.record("r") == record


@pytest.mark.parametrize("reasons", [(BAD,), (DIED, REFUSED, DIED)], ids=["bad", "spent"])
async def test_a_request_that_nobody_gave_up_in_time_is_given_up(
    reasons: tuple[Reason, ...],
) -> None:
    services = Services()
    message_id = services.send("r")
    services.write(Record(request_id="r", outcomes=known(*reasons)))
    await services.lose_a_receive()
    core = Core(services)
    assert await core.take() == []

    assert [letter.attributes["reason"] for letter in services.letters] == [reasons[-1]]
    record = services.record("r")
    assert (record.message_ids, record.letter_sent) == ((message_id,), True)
    assert record.dead_lettered_at == clock.now()
    assert services.counts() == (0, 0)


@pytest.mark.parametrize("letter_sent", [False, True])
async def test_a_message_that_was_given_up_is_deleted_once_its_letter_is_there(
    letter_sent: bool,
) -> None:
    services = Services()
    message_id = services.send("r")
    record = Record(
        request_id="r",
        outcomes=known(BAD),
        dead_lettered_at=clock.now(),
        message_ids=(message_id,),
        letter_sent=letter_sent,
    )
    services.write(record)
    await services.lose_a_receive()
    assert await Core(services).take() == []

    assert len(services.letters) == (not letter_sent)
    assert services.record("r").letter_sent
    assert services.counts() == (0, 0)


async def test_a_message_that_came_after_the_dead_letter_asks_anew() -> None:
    services = Services()
    record = Record(
        request_id="r",
        outcomes=known(BAD),
        dead_lettered_at=clock.now(),
        message_ids=("another",),
        letter_sent=True,
    )
    services.write(record)
    services.send("r")
    await services.lose_a_receive()
    core = Core(services)
    assert await core.take() == ["r"]
    assert services.letters == []
    assert core.outstanding.held()[0].item.attempt == 1


async def test_a_message_of_a_request_that_is_done_is_deleted() -> None:
    services = Services()
    services.send("r")
    services.write(Record(request_id="r", outcomes=known(REFUSED, None)))
    await services.lose_a_receive()
    assert await Core(services).take() == []
    assert services.counts() == (0, 0)
    assert services.letters == []


async def test_a_message_whose_order_is_under_way_joins_it() -> None:
    services = Services()
    message_id = services.send("r")
    gone = Core(services, "gone")
    await gone.take()
    await gone.place("r")
    await asyncio.sleep(VISIBILITY_SECONDS + 1)
    core = Core(services)
    assert await core.take() == []

    [owed] = core.outstanding.ordered()
    assert list(owed.messages) == [message_id]
    assert await core.heartbeat._requests.delete(owed.receipt_handles) == set()
    assert services.counts() == (0, 0), "the handle is not the newest"


async def test_two_pollers_that_receive_copies_at_once_hold_the_request_once() -> None:
    services = Services()
    for _ in range(2):
        services.send("r")
    await services.lose_a_receive()
    core = Core(services)
    looking = core.line.pause("GetObject")
    first = asyncio.create_task(core.intake._take(await one(core)))
    await looking.reached.wait()
    await core.intake._take(await one(core))
    looking.over.set()
    await first

    assert len(core.outstanding.held()) == 1
    assert core.outstanding.messages == 2


async def one(core: Core) -> Any:
    [message] = await core.intake.requests.receive(1, 0, VISIBILITY_SECONDS)
    return message


async def test_a_stop_in_the_middle_gives_back_what_was_not_looked_at() -> None:
    services = Services()
    for request_id in ("a", "b", "c"):
        services.send(request_id)
    await services.lose_a_receive()
    core = Core(services)
    looking = core.line.pause("GetObject", spared=1)
    polling = asyncio.create_task(core.intake.poll())
    await looking.reached.wait()
    core.stopping.set()
    looking.over.set()
    await polling

    assert len(core.outstanding.held()) == 2
    assert services.counts() == (1, 2)


async def test_without_the_ledger_nothing_is_decided_and_messages_are_put_off() -> None:
    """Longer each time: SQS gives up what is received too often, and an outage may last."""
    services = Services()
    for request_id in ("a", "b", "c"):
        services.send(request_id)
    await services.lose_a_receive()
    core = Core(services)
    core.line.fail("GetObject", Unavailable("s3", "no answer"), spared=1, times=100)
    receives = 0
    until = clock.now() + timedelta(minutes=15)
    while clock.now() < until:
        if not services.counts()[0]:
            await core.heartbeat.beat()
            await asyncio.sleep(1)
            continue
        with pytest.raises(Unavailable):
            await core.intake.poll()
        receives += 1

    assert len(core.outstanding.held()) == 1
    assert 3 <= receives <= 6
    assert core.metrics.total("messages_undecided_total") == 2 * receives
    core.line.heal()
    await asyncio.sleep(15 * 60)
    assert len(await core.take()) == 3
