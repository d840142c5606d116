"""Intake: what becomes of a message, by what is known of its request."""

import asyncio
import json
from typing import Any

import pytest

from daemon import intake
from daemon.intake import UNDECIDED_SECONDS
from daemon.ports import Outgoing, Unavailable
from neuron_worker.contract import Reason, Record
from tests.simulated import LEDGER, Core, Services, outcome

pytestmark = pytest.mark.looptime

DIED, REFUSED, BAD = Reason.WORKER_DIED, Reason.STORE_REFUSED, Reason.NOT_AUDIO
LOST = Reason.INTERRUPTED


async def test_a_new_message_is_held_without_a_look_into_the_ledger() -> None:
    core = Core(services := Services())
    message_id = services.send("r")
    assert await core.take() == ["r"]
    assert set(core.line.log) == {"ReceiveMessage"}
    [owed] = core.outstanding.held()
    assert list(owed.messages) == [message_id]
    assert services.counts() == (0, 1)


async def test_a_copy_of_what_was_done_here_is_deleted_without_a_look_into_the_ledger() -> None:
    core = Core(services := Services())
    core.outstanding.finish("r")
    services.send("r")
    assert await core.take() == []
    assert set(core.line.log) == {"ReceiveMessage", "DeleteMessageBatch"}


async def test_the_same_version_wanted_alike_is_one_request_without_an_id() -> None:
    core = Core(services := Services())
    services.send(audio_version="v1")
    services.send(audio_version="v1", duration_seconds=60.0)
    services.send(audio_version="v1", language="de")
    services.send(audio_version="v2")
    assert len(await core.take()) == 3
    assert core.outstanding.messages == 4


async def test_without_id_and_version_every_message_is_a_request() -> None:
    core = Core(services := Services())
    sent = [services.send(), services.send()]
    assert sorted(await core.take()) == sorted(sent)


@pytest.mark.parametrize(
    ("change", "conflicts"),
    [
        ({}, False),
        ({"duration_seconds": 60.0}, False),
        ({"size_bytes": 7}, False),
        ({"profile": "tiny.en"}, False),
        ({"audio": "s3://recordings/b.wav"}, True),
        ({"audio_version": "v2"}, True),
        ({"language": "de"}, True),
        ({"output": "s3://transcripts/elsewhere/"}, True),
        ({"metadata": {"board": 7}}, True),
    ],
    ids=str,
)
@pytest.mark.parametrize("attempt", [1, 2])
async def test_a_copy_joins_and_another_request_under_the_same_id_is_refused(
    change: dict[str, Any], conflicts: bool, attempt: int
) -> None:
    core = Core(services := Services())
    first = services.send("r")
    await core.take()
    [owed] = core.outstanding.held()
    owed.item = owed.item.model_copy(update={"attempt": attempt})
    second = services.send("r", **change)
    await core.take()

    assert list(owed.messages) == ([first] if conflicts else [first, second])
    reasons = [letter.attributes["reason"] for letter in services.letters]
    assert reasons == (["conflicting_request_id"] if conflicts else [])
    assert services.deleted == ([second] if conflicts else [])
    assert services.record("r") == Record(request_id="r"), "the id is another request's"


async def test_enough_is_outstanding_when_messages_are_and_copies_are_messages() -> None:
    core = Core(services := Services(), intake={"wait_seconds": 0, "outstanding_max": 3})
    for request_id in ("a", "a", "b"):
        assert not core.intake.full
        services.send(request_id)
        await core.take()
    assert core.intake.full
    core.outstanding.finish("a")
    assert not core.intake.full


async def test_enough_is_outstanding_when_bodies_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "BODIES_MAX_CHARACTERS", 5_000)
    core = Core(services := Services())
    for request_id in ("a", "b"):
        assert not core.intake.full
        services.send(request_id, metadata={"note": "n" * 3_000})
        await core.take()
    assert core.intake.full
    core.outstanding.finish("a")
    assert not core.intake.full


async def test_what_is_received_while_the_daemon_stops_is_given_back_at_once() -> None:
    core = Core(services := Services())
    for request_id in ("a", "b", "c"):
        services.send(request_id)
    receiving = core.line.pause("ReceiveMessage", heard=True)
    polling = asyncio.create_task(core.intake.poll())
    await receiving.reached.wait()
    core.stopping.set()
    receiving.over.set()
    await polling

    assert len(core.outstanding) == 0
    assert services.counts() == (3, 0)


@pytest.mark.parametrize("heard", [False, True])
async def test_a_notification_that_was_split_twice_makes_no_second_request(heard: bool) -> None:
    records = [
        {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "recordings"}, "object": {"key": key, "eTag": key}},
        }
        for key in ("a.wav", "b.wav")
    ]
    core = Core(services := Services())
    services.cloud.requests.send(Outgoing(json.dumps({"Records": records})))
    core.line.fail("SendMessageBatch", Unavailable("sqs", "no answer"), heard=heard)
    with pytest.raises(Unavailable):
        await core.intake.poll()
    assert len(await core.take()) == (2 if heard else 0)
    await asyncio.sleep(UNDECIDED_SECONDS)
    assert len(await core.take()) == 2
    assert core.outstanding.messages == (4 if heard else 2)


@pytest.mark.parametrize("failing", ["SendMessageBatch", "DeleteMessageBatch"])
async def test_a_message_that_is_nonsense_is_deleted_after_its_letter(failing: str) -> None:
    core = Core(services := Services())
    services.cloud.requests.send(Outgoing("nonsense"))
    core.line.fail(failing, Unavailable("sqs", "no answer"))
    with pytest.raises(Unavailable):
        await core.intake.poll()
    assert services.deleted == []
    assert len(services.letters) == (failing == "DeleteMessageBatch")
    await asyncio.sleep(UNDECIDED_SECONDS)
    assert await core.take() == []
    assert services.letters[-1].attributes["reason"] == "not_json"
    assert services.counts() == (0, 0)


async def test_a_refused_request_says_so_in_its_record_which_is_otherwise_as_it_was() -> None:
    core = Core(services := Services())
    services.write(Record(request_id="r", outcomes=(outcome("r", "o", REFUSED),)))
    services.send("r", profile="no-such-profile")
    assert await core.take() == []
    record = services.record("r")
    assert record.outcomes == (outcome("r", "o", REFUSED),)
    assert "no-such-profile" in record.rejection
    assert services.objects.get(LEDGER.record("r")) is not None
