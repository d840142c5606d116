"""Giving up: in which order things happen, and what the next daemon does after a crash."""

import asyncio
from datetime import timedelta

import pytest

from daemon.ports import Job, JobEnd, JobStatus, Unavailable
from daemon.simulation import clock
from daemon.simulation.line import Killed
from neuron_worker.contract import Reason, Record
from tests.settling import Desk, come_back, settle
from tests.simulated import LEDGER, outcome

pytestmark = pytest.mark.looptime

NO_ANSWER = Unavailable("sqs", "no answer")

CALLS_TO_GIVE_UP = [
    *("GetObject", "PutObject"),  # the failure
    *("GetObject", "PutObject"),  # the decision
    "SendMessageBatch",
    *("GetObject", "PutObject"),  # that the letter was sent
    "DeleteMessageBatch",
]


def no_delete_before_the_letter(desk: Desk) -> None:
    """Have every delete checked."""

    def check(message_id: str) -> None:
        assert desk.record.dead_lettered_at is not None
        assert desk.services.letters, "a message is gone, and its dead letter is not there"

    desk.services.on_delete = check


async def test_first_the_failure_then_the_decision_then_the_letter_and_then_the_delete() -> None:
    desk = Desk()
    core = await desk.ordering()
    no_delete_before_the_letter(desk)
    await settle(core, desk.outcome(Reason.NOT_AUDIO))

    assert core.line.log == CALLS_TO_GIVE_UP
    assert desk.reasons == ["not_audio"]
    assert desk.record.dead_lettered_at == clock.now()
    assert desk.record.message_ids == tuple(desk.messages)
    assert desk.record.letter_sent
    assert desk.services.deleted == desk.messages
    assert len(core.outstanding) == 0
    assert not core.outstanding.recently_finished("r"), "who sends it again asks anew"


@pytest.mark.parametrize("order_is_closed", [False, True])
@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("call", range(len(CALLS_TO_GIVE_UP)))
async def test_wherever_a_daemon_dies_while_it_gives_up_the_next_one_ends_it(
    call: int, heard: bool, order_is_closed: bool
) -> None:
    """By the order that it adopts, or, where that is gone, by the message that comes back."""
    desk = Desk()
    core = await desk.ordering()
    failure = desk.outcome(Reason.NOT_AUDIO)
    no_delete_before_the_letter(desk)
    core.line.die(call, heard=heard)
    with pytest.raises(Killed):
        await settle(core, failure)
    if order_is_closed:
        desk.services.objects.delete(LEDGER.open_order(failure.order_id))
    await come_back()
    after = await desk.adopting()
    await settle(after, failure)

    failure_is_known = (call, heard) >= (1, True)
    if order_is_closed and not failure_is_known:
        assert [owed.item.request_id for owed in after.outstanding.held()] == ["r"]
        return
    sent = CALLS_TO_GIVE_UP.index("SendMessageBatch")
    between_letter_and_note = (sent, True) <= (call, heard) < (sent + 2, True)
    assert desk.reasons == ["not_audio"] * (2 if between_letter_and_note else 1)
    assert desk.services.counts() == (0, 0)
    assert desk.record.letter_sent
    assert len(desk.record.outcomes) == 1
    assert len(after.outstanding) == 0


async def test_a_request_given_up_is_not_retried_when_its_message_could_not_be_deleted() -> None:
    desk = Desk()
    core = await desk.ordering()
    core.line.fail("DeleteMessageBatch", NO_ANSWER)
    with pytest.raises(Unavailable):
        await settle(core, desk.outcome(Reason.NOT_AUDIO))
    await settle(core, desk.outcome(Reason.NOT_AUDIO))

    assert desk.services.deleted == desk.messages
    assert core.metrics.total("requests_retried_total") == 0
    assert desk.reasons == ["not_audio"]
    assert core.metrics.total("requests_settled_total") == 1


async def test_a_worker_that_is_done_while_the_request_is_given_up_is_sooner() -> None:
    desk = Desk()
    core = await desk.ordering()
    deciding = core.line.pause("PutObject", spared=1)
    settling = asyncio.create_task(settle(core, desk.outcome(Reason.NOT_AUDIO)))
    await deciding.reached.wait()
    done = (*desk.record.outcomes, outcome("r", "another"))
    desk.services.write(Record(request_id="r", outcomes=done))
    deciding.over.set()
    await settling

    assert desk.services.letters == []
    assert desk.services.deleted == desk.messages
    assert desk.record.done is not None


@pytest.mark.parametrize("told", [True, False])
async def test_the_letter_names_the_attempts_the_orders_and_the_log_if_batch_tells_it(
    told: bool,
) -> None:
    desk = Desk()
    core = await desk.ordering()
    end = JobEnd(139, "", "")
    desk.batch.jobs["job:0"] = Job("job:0", JobStatus.FAILED, end, log_stream="worker/default/7")
    if not told:
        desk.batch.error = Unavailable("batch", "no answer")
    before = tuple(outcome("r", f"o{number}", Reason.WORKER_DIED) for number in range(2))
    desk.services.write(Record(request_id="r", outcomes=before))
    last = desk.outcome(Reason.WORKER_DIED)
    await settle(core, last)

    [letter] = desk.services.letters
    assert letter.attributes.get("log") == ("worker/default/7" if told else None)
    assert letter.attributes["order_ids"] == f"o0,o1,{last.order_id}"
    assert letter.attributes["attempts"] == "3"
    assert letter.attributes["request_id"] == "r"


async def test_two_daemons_that_give_a_request_up_decide_it_once() -> None:
    desk = Desk()
    core, other = await desk.ordering(), await desk.adopting()
    sending = core.line.pause("SendMessageBatch", heard=True)
    settling = asyncio.create_task(settle(core, desk.outcome(Reason.NOT_AUDIO)))
    await sending.reached.wait()
    decided_at = desk.record.dead_lettered_at
    await asyncio.sleep(1)
    await settle(other, desk.outcome(Reason.NOT_AUDIO))
    sending.over.set()
    await settling

    assert desk.record.dead_lettered_at == decided_at
    assert len(desk.record.outcomes) == 1
    assert desk.services.counts() == (0, 0)


async def test_a_message_that_comes_back_to_another_daemon_does_not_ask_anew() -> None:
    """Its delete was lost; the other daemon knows the order, too, and is late."""
    desk = Desk()
    core, other = await desk.ordering(), await desk.adopting()
    failure = desk.outcome(Reason.NOT_AUDIO)
    core.line.fail("DeleteMessageBatch", NO_ANSWER)
    with pytest.raises(Unavailable):
        await settle(core, failure)
    await come_back()
    await other.intake.poll()
    await settle(other, failure)

    assert len(other.outstanding) == 0
    assert desk.reasons == ["not_audio"]
    assert desk.services.counts() == (0, 0)


async def test_who_sends_a_request_again_after_its_letter_is_not_answered_by_the_old_one() -> None:
    """Another daemon gave it up; this one is late, and joins the new message to the old."""
    desk = Desk()
    core, other = await desk.ordering(), await desk.adopting()
    failure = desk.outcome(Reason.WORKER_DIED)
    before = tuple(outcome("r", f"o{number}", Reason.WORKER_DIED) for number in range(2))
    desk.services.write(Record(request_id="r", outcomes=before))
    await settle(core, failure)
    await asyncio.sleep(5)
    again = desk.services.send("r")
    await other.intake.poll()
    await settle(other, failure)

    [owed] = other.outstanding.held()
    assert again in owed.messages
    assert again not in desk.services.deleted
    assert desk.record.outcomes == (failure,)


@pytest.mark.parametrize("asked_anew", [False, True])
async def test_what_a_worker_leaves_alone_because_of_a_letter_is_tried_if_it_was_asked_anew(
    asked_anew: bool,
) -> None:
    desk = Desk()
    core = await desk.ordering()
    decided_at = clock.now() - timedelta(hours=1) if asked_anew else clock.now()
    given_up = Record(
        request_id="r",
        outcomes=(outcome("r", "old", Reason.WORKER_DIED),),
        dead_lettered_at=decided_at,
        message_ids=("old",),
        letter_sent=True,
    )
    desk.services.write(given_up)
    await settle(core, desk.outcome(Reason.GIVEN_UP))

    assert len(core.outstanding.held()) == asked_anew
    assert desk.services.deleted == ([] if asked_anew else desk.messages)
    assert desk.services.letters == []
    reasons = [known.reason for known in desk.record.outcomes]
    assert reasons == [Reason.GIVEN_UP if asked_anew else Reason.WORKER_DIED]
