"""Records: each writer sees what the others said, so a request has one fate."""

import asyncio
from datetime import timedelta

import pytest

from daemon.ports import Conflict, Unavailable
from daemon.records import WRITES_MAX, Records
from daemon.simulation import clock
from daemon.simulation.line import Killed
from daemon.simulation.store import Objects, SimulatedStore
from neuron_worker.contract import Reason, Record
from tests.scripted_services import ScriptedLine
from tests.simulated import LEDGER, outcome

pytestmark = pytest.mark.looptime

DIED, REFUSED = Reason.WORKER_DIED, Reason.STORE_REFUSED
HOUR = timedelta(hours=1)


class Desk:
    """Somebody who writes records, with a line of their own."""

    def __init__(self, objects: Objects, name: str = "daemon") -> None:
        self.objects = objects
        self.line = ScriptedLine(name)
        self.records = Records(SimulatedStore(objects, self.line), LEDGER)

    async def know(self, record: Record) -> Record:
        self.objects.put(LEDGER.record(record.request_id), record.to_json())
        return record


async def test_nothing_is_known_of_a_request_that_nobody_wrote_of() -> None:
    assert await Desk(Objects()).records.get("r") == Record(request_id="r")


async def test_failures_stand_in_the_order_in_which_they_came() -> None:
    desk = Desk(Objects())
    for number, reason in enumerate((DIED, REFUSED, DIED)):
        await desk.records.add(outcome("r", f"o{number}", reason), clock.now())
    known = await desk.records.get("r")
    assert [one.reason for one in known.outcomes] == [DIED, REFUSED, DIED]


async def test_a_failure_counts_once_for_each_order_however_often_it_is_added() -> None:
    desk = Desk(Objects())
    failure = outcome("r", "o", DIED)
    first = await desk.records.add(failure, clock.now())
    desk.line.log.clear()
    again = await desk.records.add(failure, clock.now())
    assert first == again == await desk.records.get("r")
    assert "PutObject" not in desk.line.log


@pytest.mark.parametrize("heard", [False, True])
async def test_a_failure_whose_write_failed_is_added_once_all_the_same(heard: bool) -> None:
    desk = Desk(Objects())
    desk.line.fail("PutObject", Unavailable("s3", "no answer"), heard=heard)
    with pytest.raises(Unavailable):
        await desk.records.add(outcome("r", "o", DIED), clock.now())
    record = await desk.records.add(outcome("r", "o", DIED), clock.now())
    assert len(record.outcomes) == 1


async def test_two_daemons_that_add_at_once_lose_neither_failure() -> None:
    objects = Objects()
    one, other = Desk(objects, "one"), Desk(objects, "other")
    between = one.line.pause("PutObject")
    adding = asyncio.create_task(one.records.add(outcome("r", "o1", DIED), clock.now()))
    await between.reached.wait()
    await other.records.add(outcome("r", "o2", REFUSED), clock.now())
    between.over.set()
    record = await adding
    assert record == await other.records.get("r")
    assert [known.order_id for known in record.outcomes] == ["o2", "o1"]


@pytest.mark.parametrize("fate", ["done", "given up"])
async def test_to_a_request_that_has_its_fate_nothing_is_added(fate: str) -> None:
    desk = Desk(Objects())
    asked_at = clock.now()
    given_up_at = asked_at if fate == "given up" else None
    known = (outcome("r", "o1", DIED), *([] if given_up_at else [outcome("r", "o2")]))
    before = await desk.know(Record(request_id="r", outcomes=known, dead_lettered_at=given_up_at))
    assert await desk.records.add(outcome("r", "o3", REFUSED), asked_at) == before


@pytest.mark.parametrize("order_id", ["o1", "o2"])
async def test_a_request_that_is_asked_for_after_its_dead_letter_starts_afresh(
    order_id: str,
) -> None:
    """Also where the failure is the one that the letter was about, heard of by a second daemon."""
    desk = Desk(Objects())
    await desk.know(
        Record(
            request_id="r",
            outcomes=(outcome("r", "o0", DIED), outcome("r", "o1", DIED)),
            dead_lettered_at=clock.now(),
            message_ids=("m1",),
            letter_sent=True,
        )
    )
    asked_anew = clock.now() + HOUR
    failure = outcome("r", order_id, DIED)
    record = await desk.records.add(failure, asked_anew)
    assert record == Record(request_id="r", outcomes=(failure,))
    assert await desk.records.add(failure, asked_anew) == record


async def test_a_request_that_is_done_is_never_given_up() -> None:
    objects = Objects()
    one, worker = Desk(objects), Desk(objects, "worker")
    record = await one.records.add(outcome("r", "o1", DIED), clock.now())
    between = one.line.pause("PutObject")
    giving_up = asyncio.create_task(one.records.give_up(record, ("m",), clock.now()))
    await between.reached.wait()
    done = await worker.know(
        Record(request_id="r", outcomes=(*record.outcomes, outcome("r", "o2")))
    )
    between.over.set()
    assert await giving_up == done == await one.records.get("r")
    assert done.dead_lettered_at is None


async def test_a_worker_that_is_too_late_cannot_write_over_the_decision() -> None:
    desk = Desk(Objects())
    before = await desk.records.add(outcome("r", "o1", DIED), clock.now())
    worker = SimulatedStore(desk.objects, ScriptedLine("worker"))
    read = await worker.get_with_etag(LEDGER.record("r"))
    assert read is not None
    given_up = await desk.records.give_up(before, ("m",), clock.now())
    done = Record(request_id="r", outcomes=(*before.outcomes, outcome("r", "o2")))
    with pytest.raises(Conflict):
        await worker.put_if(LEDGER.record("r"), done.to_json(), read[1])
    assert await desk.records.get("r") == given_up


async def test_giving_up_again_keeps_the_first_time_and_gathers_the_messages() -> None:
    desk = Desk(Objects())
    record = await desk.records.add(outcome("r", "o1", DIED), clock.now())
    first = await desk.records.give_up(record, ("m1", "m2"), clock.now())
    again = await desk.records.give_up(first, ("m2", "m3"), clock.now() + HOUR)
    assert again.dead_lettered_at == first.dead_lettered_at
    assert again.message_ids == ("m1", "m2", "m3")


async def test_that_a_letter_was_sent_is_noted_only_for_the_decision_it_was_sent_for() -> None:
    desk = Desk(Objects())
    failed = await desk.records.add(outcome("r", "o1", DIED), clock.now())
    first = await desk.records.give_up(failed, ("m1",), clock.now())
    anew = await desk.records.add(outcome("r", "o2", DIED), clock.now() + HOUR)
    second = await desk.records.give_up(anew, ("m2",), clock.now() + HOUR)
    await desk.records.letter_sent(first)
    assert await desk.records.get("r") == second
    await desk.records.letter_sent(second)
    assert (await desk.records.get("r")).letter_sent


async def test_why_a_message_was_refused_is_noted_beside_what_is_known() -> None:
    desk = Desk(Objects())
    known = await desk.records.add(outcome("r", "o1", DIED), clock.now())
    await desk.records.reject("r", "another request has this id")
    record = await desk.records.get("r")
    assert (record.outcomes, record.rejection) == (known.outcomes, "another request has this id")
    assert record.dead_lettered_at is None


async def test_a_record_that_changes_all_the_time_is_left_for_later() -> None:
    desk = Desk(Objects())
    changes = 0

    async def change_first() -> None:
        nonlocal changes
        changes += 1
        known = outcome("r", f"other-{changes}", REFUSED)
        await desk.know(Record(request_id="r", outcomes=(known,)))

    desk.line.do("PutObject", change_first, times=WRITES_MAX)
    with pytest.raises(Unavailable, match="the record of r is changed by others"):
        await desk.records.add(outcome("r", "o", DIED), clock.now())
    assert changes == WRITES_MAX


async def test_whoever_dies_while_giving_up_has_decided_or_not() -> None:
    objects = Objects()
    for heard in (False, True):
        desk = Desk(objects)
        record = await desk.records.add(outcome("r", "o1", DIED), clock.now())
        desk.line.fail("PutObject", Killed("daemon"), heard=heard)
        with pytest.raises(Killed):
            await desk.records.give_up(record, ("m",), clock.now())
        known = await Desk(objects).records.get("r")
        assert (known.dead_lettered_at is not None) is heard
