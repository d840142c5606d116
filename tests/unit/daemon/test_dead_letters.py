import asyncio
import random
import tracemalloc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.aws.limits import MESSAGE_BATCH_MAX_BYTES, attribute_bytes
from daemon.dead_letters import (
    REASON_MAX_CHARACTERS,
    RECEIVES_WITHOUT_NEWS_MAX,
    UNKNOWN,
    Letter,
    Scan,
    Selection,
    dead_letter,
)
from daemon.embedded.sqs.queue import Queue
from daemon.ports import Outgoing, QueueDepth, Received, Unavailable
from daemon.simulation.queue import SharedQueue, SimulatedQueue
from tests.malformed import SIGNATURE, SIGNED_URL
from tests.scripted_services import ScriptedLine

EVERY = Selection()
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def test_the_body_is_kept_as_it_came_and_the_facts_stand_beside_it() -> None:
    letter = dead_letter("{oops", reason="not_json", detail="no brace", facts={"message_id": "m"})

    assert letter.body == "{oops"
    assert letter.attributes == {"reason": "not_json", "detail": "no brace", "message_id": "m"}


def test_empty_facts_are_left_out_because_sqs_refuses_them() -> None:
    letter = dead_letter("x", reason="r", detail="", facts={"request_id": ""})

    assert letter.attributes == {"reason": "r"}


@given(st.text(max_size=50))
def test_what_sqs_does_not_accept_is_taken_out(detail: str) -> None:
    attributes = dead_letter("x", reason="r", detail=f"a{detail}", facts={}).attributes

    assert not any(c < "\x20" and c not in "\t\n\r" for c in attributes["detail"])
    assert "\x00" not in attributes["detail"]
    assert not any(0xD800 <= ord(c) <= 0xDFFF or ord(c) in (0xFFFE, 0xFFFF) for c in detail) or (
        attributes["detail"] != f"a{detail}"
    )


def test_a_long_detail_is_cut() -> None:
    letter = dead_letter("x", reason="r", detail="y" * 5000, facts={})

    assert len(letter.attributes["detail"]) == REASON_MAX_CHARACTERS


def test_no_attribute_holds_a_signature() -> None:
    letter = dead_letter(SIGNED_URL, reason="r", detail=f"no place: {SIGNED_URL}", facts={})

    assert SIGNATURE not in str(letter.attributes)
    assert letter.body == SIGNED_URL, "the body is kept as it came"


@pytest.mark.parametrize("spare_bytes", [0, 13, 60, 100, 1_000, 5_000])
def test_the_largest_body_is_kept_whole_and_the_attributes_give_way(spare_bytes: int) -> None:
    body = "x" * (MESSAGE_BATCH_MAX_BYTES - spare_bytes)

    letter = dead_letter(body, reason="too_large", detail="é" * 900, facts={"message_id": "m" * 36})

    taken = sum(attribute_bytes(*one) for one in letter.attributes.items())
    assert letter.body == body
    assert taken <= spare_bytes
    assert ("reason" in letter.attributes) is (spare_bytes >= 60)
    assert ("detail" in letter.attributes) is (spare_bytes >= 5_000)


def received(number: int = 0, sent_at: datetime = NOW, **attributes: str) -> Received:
    body = f'{{"audio": "s3://recordings/{number}.wav"}}'
    return Received(f"m{number}", f"h{number}", body, 7, sent_at, attributes)


def test_a_letter_of_a_daemon_is_read_as_it_was_written() -> None:
    written = dead_letter(
        "{}",
        reason="worker_died",
        detail="it died",
        facts={"request_id": "r", "attempts": "3", "order_ids": "o1,o2", "log": "job/1"},
    )
    letter = Letter.read(Received("m", "h", written.body, 1, NOW, written.attributes))

    assert (letter.reason, letter.detail, letter.attempts) == ("worker_died", "it died", 3)
    assert (letter.order_ids, letter.log) == (("o1", "o2"), "job/1")
    assert letter.ids == ("r", "m")


def test_a_letter_that_the_queue_moved_says_so_and_has_the_id_of_its_message() -> None:
    letter = Letter.read(received(4))

    assert letter.reason == UNKNOWN
    assert "moved here by the queue itself" in letter.detail
    assert "received 7 times" in letter.detail
    assert letter.ids == ("m4",)
    assert letter.audio == "s3://recordings/4.wav"


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), True),
        (Selection(reasons={"missing"}), True),
        (Selection(reasons={"empty", "not_json"}), False),
        (Selection(ids={"r1"}), True),
        (Selection(ids={"rejected"}), True),
        (Selection(ids={"m0"}), True),
        (Selection(ids={"r2"}), False),
        (Selection(sent_before=NOW + timedelta(seconds=1)), True),
        (Selection(sent_before=NOW), False),
        (Selection(sent_after=NOW), False),
        (Selection(sent_after=NOW - timedelta(seconds=1)), True),
        (Selection(ids={"r1"}, reasons={"empty"}), False),
    ],
)
def test_a_letter_is_meant_only_if_every_filter_takes_it(
    selection: Selection, expected: bool
) -> None:
    letter = Letter.read(received(request_id="r1", message_id="rejected", reason="missing"))

    assert selection.takes(letter) is expected


class Letters:
    """A queue that hides what it gives, and forgets nothing on the way."""

    def __init__(self, count: int, make: Callable[[int], Received] = received) -> None:
        self._make = make
        self.visible = list(range(count - 1, -1, -1))
        self.hidden: dict[str, int] = {}
        self.deleted: list[int] = []
        self.undeletable: set[str] = set()
        self.extended: list[int] = []
        self.counted: int | None = None
        self.gate: asyncio.Event | None = None
        self.begun = asyncio.Event()
        self.forgetful = False
        self.receives = 0

    async def receive(
        self, max_messages: int, wait_seconds: int, visibility_seconds: int
    ) -> list[Received]:
        assert wait_seconds > 0, "a short poll may miss letters"
        given: list[Received] = []
        while self.visible and len(given) < max_messages:
            number = self.visible.pop()
            message = self._make(number)
            self.hidden[message.receipt_handle] = number
            given.append(message)
        self.receives += 1
        if self.forgetful:
            self.visible += [self.hidden[one.receipt_handle] for one in given]
        self.begun.set()
        if self.gate is not None:
            await self.gate.wait()
        return given

    async def extend(self, receipt_handles: Sequence[str], seconds: int) -> set[str]:
        self.extended.append(seconds)
        for handle in receipt_handles:
            self.visible.append(self.hidden.pop(handle))
        return set()

    async def delete(self, receipt_handles: Sequence[str]) -> set[str]:
        failed = self.undeletable & set(receipt_handles)
        self.deleted += [self.hidden.pop(h) for h in receipt_handles if h not in failed]
        return failed

    async def send(self, messages: Sequence[Outgoing]) -> None:
        raise AssertionError("nothing is sent to the dead letters")

    async def depth(self) -> QueueDepth:
        count = len(self.visible) if self.counted is None else self.counted
        return QueueDepth(count, len(self.hidden))


def scan_of(queue: Letters, selection: Selection = EVERY, limit: int | None = None) -> Scan:
    return Scan(queue, selection, started_at=NOW, limit=limit)


async def read_all(
    queue: Letters, selection: Selection = EVERY, limit: int | None = None
) -> tuple[list[str], Scan]:
    async with scan_of(queue, selection, limit) as scan:
        ids = [letter.message_id async for letters in scan for letter in letters]
    return ids, scan


@pytest.mark.parametrize("count", [0, 1, 10, 11, 95])
async def test_a_scan_gives_each_letter_once_and_shows_all_of_them_again(count: int) -> None:
    queue = Letters(count)

    ids, scan = await read_all(queue)

    assert sorted(ids) == sorted(f"m{n}" for n in range(count))
    assert sorted(queue.visible) == list(range(count))
    assert queue.hidden == {}
    assert scan.complete
    assert set(queue.extended) <= {0}


async def test_only_letters_that_are_meant_come_and_no_more_than_the_limit() -> None:
    def sometimes_missing(number: int) -> Received:
        return received(number, reason="missing" if number % 3 == 0 else "empty")

    queue = Letters(60, sometimes_missing)
    all_missing, scan = await read_all(queue, Selection(reasons={"missing"}))
    some, limited = await read_all(queue, Selection(reasons={"missing"}), limit=5)

    assert sorted(all_missing) == sorted(f"m{n}" for n in range(0, 60, 3))
    assert scan.complete
    assert len(some) == 5
    assert not limited.complete
    assert queue.hidden == {}


async def test_a_letter_that_comes_back_before_the_end_is_known_again() -> None:
    queue = Letters(25)
    seen = []
    async with scan_of(queue) as scan:
        async for letters in scan:
            seen += [letter.message_id for letter in letters]
            if len(seen) == 20:
                queue.visible += [queue.hidden.pop(f"h{n}") for n in (1, 2)]

    assert len(seen) == len(set(seen)) == 25
    assert sorted(queue.visible) == list(range(25))


async def test_a_scan_that_cannot_see_all_that_is_counted_ends_and_says_so() -> None:
    queue = Letters(5)
    queue.counted = 50

    ids, scan = await read_all(queue)

    assert len(ids) == 5
    assert not scan.complete


async def test_a_queue_that_brings_only_what_is_known_does_not_hold_a_scan_for_ever() -> None:
    queue = Letters(1)
    queue.counted = 50
    queue.forgetful = True

    ids, _ = await read_all(queue)

    assert ids == ["m0"]
    assert queue.receives == 1 + RECEIVES_WITHOUT_NEWS_MAX


async def test_letters_that_came_after_the_start_are_left_alone() -> None:
    def half_newer(number: int) -> Received:
        return received(number, NOW + timedelta(seconds=1 if number % 2 else -1))

    queue = Letters(20, half_newer)
    ids, scan = await read_all(queue)

    assert len(ids) == scan.newer == 10
    assert sorted(queue.visible) == list(range(20))


async def test_an_error_shows_the_letters_again() -> None:
    queue = Letters(30)

    async def fail() -> None:
        async with scan_of(queue) as scan:
            async for _ in scan:
                raise KeyError

    with pytest.raises(KeyError):
        await fail()

    assert queue.hidden == {}


async def test_whoever_interrupts_a_receive_finds_its_letters_visible_too() -> None:
    queue = Letters(10)
    queue.gate = asyncio.Event()
    reading = asyncio.create_task(read_all(queue))
    await queue.begun.wait()
    reading.cancel()
    await asyncio.sleep(0)
    queue.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert queue.hidden == {}
    assert sorted(queue.visible) == list(range(10))


def request_queue(line: ScriptedLine, sent: list[Outgoing]) -> SimulatedQueue:
    """A queue that adds to `sent` what is sent to it."""
    model = Queue("arn:aws:sqs:us-east-1:000000000000:requests", random.Random(0))
    return SimulatedQueue(SharedQueue(model, sent.append), line)


async def test_redrive_sends_the_unchanged_bodies_and_then_deletes() -> None:
    queue, sent = Letters(3), list[Outgoing]()
    requests = request_queue(ScriptedLine("console"), sent)
    async with scan_of(queue) as scan:
        async for letters in scan:
            assert await scan.redrive(letters, requests) == []

    assert sent == [Outgoing(received(n).body) for n in range(3)]
    assert sorted(queue.deleted) == [0, 1, 2]


async def test_what_could_not_be_sent_is_not_deleted() -> None:
    queue, line = Letters(3), ScriptedLine("console")
    line.fail("SendMessageBatch", Unavailable("sqs", "no answer"))
    requests = request_queue(line, [])

    async def redrive() -> None:
        async with scan_of(queue) as scan:
            async for letters in scan:
                await scan.redrive(letters, requests)

    with pytest.raises(Unavailable):
        await redrive()

    assert queue.deleted == []
    assert sorted(queue.visible) == [0, 1, 2]


async def test_a_letter_that_could_not_be_deleted_is_told_and_visible_again() -> None:
    queue = Letters(3)
    queue.undeletable = {"h1"}
    async with scan_of(queue) as scan:
        async for letters in scan:
            stayed = await scan.delete(letters)
            assert [letter.message_id for letter in stayed] == ["m1"]

    assert queue.visible == [1]


async def test_tens_of_thousands_of_letters_are_purged_in_bounded_memory() -> None:
    def large(number: int) -> Received:
        return Received(f"m{number}", f"h{number}", f"{number}" * 4_000, 1, NOW, {})

    queue = Letters(30_000, large)
    tracemalloc.start()
    try:
        async with scan_of(queue) as scan:
            async for letters in scan:
                await scan.delete(letters)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(queue.deleted) == 30_000
    assert peak_bytes < 20 * 1024 * 1024, "of 600 MB of bodies"
