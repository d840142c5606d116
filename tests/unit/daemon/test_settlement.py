"""Settlement: what becomes of the requests of an order, and of their messages."""

import asyncio
from datetime import timedelta

import pytest

from daemon.breaker import FAILURES_TO_SHUT
from daemon.ports import Unavailable
from daemon.simulation import clock
from daemon.simulation.line import Killed
from neuron_worker.contract import Effort, Reason, Record
from tests.settling import Desk, come_back, settle
from tests.simulated import LANE, outcome

pytestmark = pytest.mark.looptime

NO_ANSWER = Unavailable("sqs", "no answer")


@pytest.mark.parametrize("heard", [False, True])
async def test_a_daemon_that_dies_while_it_deletes_what_is_done_leaves_nothing_to_do(
    heard: bool,
) -> None:
    desk = Desk()
    core = await desk.ordering()
    done = desk.outcome()
    desk.services.write(Record(request_id="r", outcomes=(done,)))
    core.line.die(0, heard=heard)
    with pytest.raises(Killed):
        await settle(core, done)
    await come_back()
    after = await desk.adopting()
    await settle(after, done)

    assert desk.services.counts() == (0, 0)
    assert len(after.outstanding) == 0
    assert after.metrics.total("requests_retried_total") == 0
    assert desk.services.letters == []


async def test_a_finished_request_is_counted_once_even_if_deleting_fails_at_first() -> None:
    desk = Desk()
    core = await desk.ordering()
    core.line.fail("DeleteMessageBatch", NO_ANSWER)
    done = desk.outcome().model_copy(update={"effort": Effort(tokens=100)})
    with pytest.raises(Unavailable):
        await settle(core, done)
    await settle(core, done)
    await settle(core, done)

    assert core.metrics.total("requests_settled_total") == 1
    assert core.metrics.total("worker_tokens_total") == 100
    assert desk.services.deleted == desk.messages
    assert core.outstanding.recently_finished("r")


async def test_what_was_heard_and_what_was_wrong_with_it_is_counted() -> None:
    desk = Desk()
    core = await desk.ordering()
    heard = {"audio_seconds": 60.0, "speech_seconds": 45.0, "warnings": ("2 s are lost",)}
    await settle(core, desk.outcome().model_copy(update=heard))

    assert core.metrics.total("audio_seconds_total") == 60
    assert core.metrics.total("speech_seconds_total") == 45
    assert core.metrics.total("requests_warned_total") == 1


async def test_a_transcript_without_warnings_is_not_counted_as_one_with() -> None:
    desk = Desk()
    core = await desk.ordering()
    await settle(core, desk.outcome())

    assert core.metrics.total("requests_warned_total") == 0


async def test_what_failed_took_nothing_that_is_counted() -> None:
    desk = Desk()
    core = await desk.ordering()
    failed = {"effort": Effort(tokens=100), "wall_seconds": 5.0}
    await settle(core, desk.outcome(Reason.NOT_AUDIO).model_copy(update=failed))

    assert core.metrics.total("worker_tokens_total") == 0
    assert core.metrics.total("worker_seconds_total") == 0


@pytest.mark.parametrize("reason", [None, Reason.NOT_AUDIO])
async def test_a_copy_that_joins_while_the_first_is_deleted_is_deleted_with_it(
    reason: Reason | None,
) -> None:
    desk = Desk()
    core = await desk.ordering()
    deleting = core.line.pause("DeleteMessageBatch", heard=True)
    settling = asyncio.create_task(settle(core, desk.outcome(reason)))
    await deleting.reached.wait()
    desk.messages.append(desk.services.send("r"))
    await core.intake.poll()
    deleting.over.set()
    await settling

    assert desk.services.deleted == desk.messages
    assert desk.services.counts() == (0, 0)
    assert core.outstanding.messages == 0


async def test_a_request_that_another_order_has_done_is_finished_whatever_this_one_says() -> None:
    desk = Desk()
    core = await desk.ordering()
    desk.services.write(Record(request_id="r", outcomes=(outcome("r", "another"),)))
    await settle(core, desk.outcome(Reason.NOT_AUDIO))

    assert desk.services.letters == []
    assert desk.services.deleted == desk.messages
    assert core.outstanding.recently_finished("r")
    assert desk.record.dead_lettered_at is None


async def test_what_fails_is_held_again_with_its_message_and_tried_later_by_its_record() -> None:
    desk = Desk()
    core = await desk.ordering()
    await settle(core, desk.outcome(Reason.WORKER_DIED))

    [owed] = core.outstanding.held()
    assert (owed.alone, owed.item.attempt) == (True, 2)
    assert owed.not_before == clock.now() + timedelta(seconds=30)
    assert list(owed.messages) == desk.messages
    assert desk.services.deleted == []


@pytest.mark.parametrize(
    ("reason", "shut", "given_up"),
    [
        (Reason.NOT_STARTED, False, True),
        (Reason.NOT_STARTED, True, False),
        (Reason.NOT_AUDIO, True, True),
    ],
)
async def test_while_its_lane_is_shut_infrastructure_gives_nobody_up(
    reason: Reason, shut: bool, given_up: bool
) -> None:
    desk = Desk()
    core = await desk.ordering()
    for number in range(FAILURES_TO_SHUT if shut else 0):
        core.breakers.failed(LANE, f"o{number}", "no image")
    before = tuple(outcome("r", f"o{number}", Reason.NOT_STARTED) for number in range(4))
    desk.services.write(Record(request_id="r", outcomes=before))
    await settle(core, desk.outcome(reason))

    assert (desk.record.dead_lettered_at is not None) is given_up
    assert len(core.outstanding.held()) == (not given_up)


async def test_an_outcome_of_another_order_settles_nothing() -> None:
    desk = Desk()
    core = await desk.ordering()
    await settle(core, outcome("r", "another", Reason.NOT_AUDIO), outcome("stranger", "another"))

    assert core.line.log == []
    assert len(core.outstanding.ordered()) == 1
