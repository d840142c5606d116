"""The queue. Sources: API_ReceiveMessage, API_ChangeMessageVisibilityBatch,
API_DeleteMessageBatch, API_SendMessageBatch, quotas-messages.html.
"""

import asyncio
from datetime import UTC, datetime

import pytest

from daemon.aws import calls
from daemon.aws.limits import MESSAGE_BATCH_MAX_BYTES, QUEUE_BATCH_MAX, VISIBILITY_MAX_SECONDS
from daemon.ports import Outgoing, Queue, QueueDepth, Received, Refused, ServiceError, Throttled
from tests.conformance.ports.world import IN_FLIGHT_MAX, Ports, body

HOUR = 3_600
SOON_SECONDS = 10
"""Well before a poll of 20 s ends by itself."""

GARBAGE = "garbage"


async def fill(queue: Queue, count: int) -> None:
    await queue.send([Outgoing(body(number)) for number in range(count)])


async def take(queue: Queue, count: int, seconds: int = HOUR) -> list[Received]:
    taken: list[Received] = []
    while len(taken) < count:
        got = await queue.receive(count - len(taken), 1, seconds)
        assert got, f"only {len(taken)} of {count} messages came"
        taken += got
    return taken


async def take_one(queue: Queue, seconds: int = HOUR) -> Received:
    [message] = await take(queue, 1, seconds)
    return message


async def test_a_message_is_received_as_it_was_sent(ports: Ports) -> None:
    await ports.queue.send([Outgoing("body ä", {"reason": "missing", "detail": "no ☃"})])
    message = await take_one(ports.queue)
    assert (message.body, message.receive_count) == ("body ä", 1)
    assert message.attributes == {"reason": "missing", "detail": "no ☃"}
    assert message.sent_at.tzinfo == UTC
    assert message.message_id != message.receipt_handle


@pytest.mark.parametrize("count", [0, 1, 10, 12])
async def test_any_number_of_messages_is_sent(ports: Ports, count: int) -> None:
    await fill(ports.queue, count)
    assert await ports.queue.depth() == QueueDepth(count, 0)
    messages = await take(ports.queue, count)
    assert sorted(message.body for message in messages) == sorted(map(body, range(count)))
    assert len({message.message_id for message in messages}) == count
    assert await ports.queue.depth() == QueueDepth(0, count)


async def test_ten_messages_are_received_at_most(ports: Ports) -> None:
    await fill(ports.queue, 12)
    assert len(await ports.queue.receive(100, 1, HOUR)) <= QUEUE_BATCH_MAX


async def test_a_poll_without_messages_ends_empty(ports: Ports) -> None:
    assert await ports.queue.receive(10, 0, HOUR) == []
    assert await ports.queue.receive(10, 1, HOUR) == []


async def test_a_poll_that_waits_gets_what_arrives_meanwhile(ports: Ports) -> None:
    polling = asyncio.create_task(ports.queue.receive(10, 20, HOUR))
    await asyncio.sleep(0.1)
    await fill(ports.queue, 1)
    async with asyncio.timeout(SOON_SECONDS):
        [message] = await polling
    assert message.body == body(0)


async def test_a_poll_that_waits_gets_what_is_given_back_meanwhile(ports: Ports) -> None:
    await fill(ports.queue, 1)
    first = await take_one(ports.queue)
    polling = asyncio.create_task(ports.queue.receive(10, 20, HOUR))
    await asyncio.sleep(0.1)
    assert await ports.queue.extend([first.receipt_handle], 0) == set()
    async with asyncio.timeout(SOON_SECONDS):
        [again] = await polling
    assert (again.message_id, again.receive_count) == (first.message_id, 2)
    assert again.receipt_handle != first.receipt_handle


async def test_a_poll_that_waits_gets_what_becomes_visible_meanwhile(ports: Ports) -> None:
    await fill(ports.queue, 1)
    first = await take_one(ports.queue, seconds=1)
    [again] = await ports.queue.receive(10, 5, HOUR)
    assert (again.message_id, again.receive_count) == (first.message_id, 2)


async def test_a_message_is_hidden_for_as_long_as_was_said(ports: Ports) -> None:
    await fill(ports.queue, 1)
    first = await take_one(ports.queue)
    await ports.wait(HOUR - 60)
    assert await ports.queue.receive(10, 0, HOUR) == []
    await ports.wait(61)
    again = await take_one(ports.queue)
    assert (again.message_id, again.receive_count) == (first.message_id, 2)
    assert again.sent_at == first.sent_at


async def test_a_message_is_hidden_for_longer_from_now_on(ports: Ports) -> None:
    await fill(ports.queue, 1)
    message = await take_one(ports.queue)
    await ports.wait(HOUR - 60)
    assert await ports.queue.extend([message.receipt_handle], HOUR) == set()
    await ports.wait(HOUR - 60)
    assert await ports.queue.depth() == QueueDepth(0, 1)


async def test_more_than_a_batch_is_hidden_and_deleted(ports: Ports) -> None:
    await fill(ports.queue, 12)
    handles = [message.receipt_handle for message in await take(ports.queue, 12)]
    assert await ports.queue.extend(handles, 0) == set()
    assert await ports.queue.depth() == QueueDepth(12, 0)
    handles = [message.receipt_handle for message in await take(ports.queue, 12)]
    assert await ports.queue.delete(handles) == set()
    assert await ports.queue.depth() == QueueDepth(0, 0)


async def test_nothing_is_hidden_and_nothing_deleted(ports: Ports) -> None:
    assert await ports.queue.extend([], 60) == set()
    assert await ports.queue.delete([]) == set()


async def test_with_an_old_handle_a_message_is_not_hidden(ports: Ports) -> None:
    await fill(ports.queue, 2)
    old, good = await take(ports.queue, 2)
    await ports.queue.extend([old.receipt_handle], 0)
    newer = await take_one(ports.queue)
    handles = [old.receipt_handle, good.receipt_handle]
    assert await ports.queue.extend(handles, 0) == {old.receipt_handle}
    assert await ports.queue.depth() == QueueDepth(1, 1)
    assert newer.message_id == old.message_id


async def test_with_an_old_handle_a_message_is_not_deleted_though_it_seems_so(
    ports: Ports,
) -> None:
    await fill(ports.queue, 1)
    old = await take_one(ports.queue)
    await ports.queue.extend([old.receipt_handle], 0)
    newer = await take_one(ports.queue)
    assert await ports.queue.delete([old.receipt_handle]) == set()
    assert await ports.queue.depth() == QueueDepth(0, 1)
    assert await ports.queue.delete([newer.receipt_handle]) == set()
    assert await ports.queue.depth() == QueueDepth(0, 0)


async def test_a_message_that_is_visible_again_is_deleted_by_its_newest_handle(
    ports: Ports,
) -> None:
    await fill(ports.queue, 1)
    message = await take_one(ports.queue, seconds=60)
    await ports.wait(61)
    assert await ports.queue.extend([message.receipt_handle], 60) == {message.receipt_handle}
    assert await ports.queue.delete([message.receipt_handle]) == set()
    assert await ports.queue.depth() == QueueDepth(0, 0)


async def test_what_is_deleted_cannot_be_hidden_and_can_be_deleted_again(ports: Ports) -> None:
    await fill(ports.queue, 1)
    message = await take_one(ports.queue)
    await ports.queue.delete([message.receipt_handle])
    assert await ports.queue.extend([message.receipt_handle], 60) == {message.receipt_handle}
    assert await ports.queue.delete([message.receipt_handle]) == set()


async def test_what_is_no_handle_fails_alone(ports: Ports) -> None:
    await fill(ports.queue, 1)
    message = await take_one(ports.queue)
    handles = [GARBAGE, message.receipt_handle]
    assert await ports.queue.extend(handles, 60) == {GARBAGE}
    assert await ports.queue.delete(handles) == {GARBAGE}
    assert await ports.queue.depth() == QueueDepth(0, 0)


async def test_a_message_is_hidden_for_twelve_hours_in_all(ports: Ports) -> None:
    await fill(ports.queue, 1)
    message = await take_one(ports.queue, seconds=VISIBILITY_MAX_SECONDS)
    await ports.wait(VISIBILITY_MAX_SECONDS - 60)
    handles = [message.receipt_handle]
    assert await ports.queue.extend(handles, 120) == set(handles)
    assert await ports.queue.extend(handles, 30) == set()


async def test_a_message_that_cannot_be_sent_fails_and_hinders_no_other(ports: Ports) -> None:
    with pytest.raises(ServiceError):
        await ports.queue.send([Outgoing("a"), Outgoing("\x00"), Outgoing("b")])
    assert await ports.queue.depth() == QueueDepth(2, 0)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_message_that_is_too_large_is_refused(ports: Ports) -> None:
    with pytest.raises(Refused):
        await ports.queue.send([Outgoing("x" * (MESSAGE_BATCH_MAX_BYTES + 1))])
    assert await ports.queue.depth() == QueueDepth(0, 0)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_messages_that_are_too_large_together_are_sent_all_the_same(ports: Ports) -> None:
    large = "x" * (MESSAGE_BATCH_MAX_BYTES // 2)
    await ports.queue.send([Outgoing(large)] * 3)
    assert await ports.queue.depth() == QueueDepth(3, 0)


async def test_with_too_many_messages_in_flight_a_receive_is_throttled(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "BUDGET_SECONDS", 1.0)
    await fill(ports.queue, IN_FLIGHT_MAX + 1)
    await take(ports.queue, IN_FLIGHT_MAX)
    with pytest.raises(Throttled):
        await ports.queue.receive(1, 0, HOUR)


async def test_a_time_is_when_the_queue_had_the_message_first(ports: Ports) -> None:
    await fill(ports.queue, 1)
    await ports.wait(HOUR)
    await fill(ports.queue, 1)
    first, second = sorted(message.sent_at for message in await take(ports.queue, 2))
    assert HOUR - 5 < (second - first).total_seconds() < HOUR + 5
    assert isinstance(first, datetime)
