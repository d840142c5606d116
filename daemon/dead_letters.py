"""Dead letters: the message as it came, and why it stands here; how they are written and read.

Reading a queue means receiving from it, and SQS keeps no place in it. A `Scan` hides each letter
from others while it looks at the rest, and shows all of them again at its end.
"""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from daemon.aws.limits import MESSAGE_BATCH_MAX_BYTES, QUEUE_BATCH_MAX, attribute_bytes
from daemon.ports import Outgoing, Queue, QueueDepth, Received, ServiceError
from daemon.request import Rejected, parse
from neuron_worker.contract.redaction import redacted

REASON_MAX_CHARACTERS = 1_000
"""Long enough for a sentence a person can act on; attributes share the message's size limit."""

UNKNOWN = "unknown"
"""The reason of a letter that has none: the queue's own redrive policy moved it here."""

WAIT_SECONDS = 1
"""A receive that waits asks all servers of the queue; one that does not asks a sample of them.

Source: docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide, "Short and long polling"
"""

RECEIVES_WITHOUT_NEWS_MAX = 3
"""In a row, after which a scan that has not seen as many letters as the queue counts gives up."""

HIDDEN_MIN_SECONDS, HIDDEN_MAX_SECONDS = 60, 3_600
LETTERS_PER_SECOND = 50
"""So many at least are read: a letter is hidden about as long as the scan of its queue takes.

If it is hidden for less, it comes twice and is known again; the bound is for a console that was
killed and can show nothing again.
"""

RELEASED_AT_ONCE = 500


def dead_letter(body: str, *, reason: str, detail: str, facts: Mapping[str, str]) -> Outgoing:
    """A message for the dead-letter queue: the unchanged body, so that it can be sent again.

    `facts` are more attributes (request_id, attempts, order_ids, log); empty ones are left out,
    because SQS refuses them. So is, from the end, what the largest bodies leave no room for.
    """
    room = MESSAGE_BATCH_MAX_BYTES - len(body.encode())
    attributes: dict[str, str] = {}
    for name, value in {"reason": reason, **facts, "detail": redacted(detail)}.items():
        kept = _allowed(value)
        size_bytes = attribute_bytes(name, kept)
        if kept and size_bytes <= room:
            attributes[name] = kept
            room -= size_bytes
    return Outgoing(body, attributes)


def _allowed(text: str) -> str:
    """The characters that SQS accepts (API_SendMessage: #x9, #xA, #xD, #x20 to #xD7FF, …)."""
    kept = (
        character
        for character in text
        if character in "\t\n\r"
        or "\x20" <= character <= "\ud7ff"
        or "\ue000" <= character <= "\ufffd"
        or character >= "\U00010000"
    )
    return "".join(kept)[:REASON_MAX_CHARACTERS]


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as it was received. `sent_at` is when a daemon gave the request up.

    For a letter that the queue itself moved, it is when the request was sent.
    """

    message_id: str
    receipt_handle: str
    body: str
    sent_at: datetime
    reason: str
    detail: str
    request_id: str | None = None
    rejected_message_id: str | None = None
    attempts: int | None = None
    order_ids: tuple[str, ...] = ()
    log: str | None = None

    @classmethod
    def read(cls, received: Received) -> Self:
        """Make sense of the attributes, whoever wrote them."""
        facts = received.attributes
        attempts = facts.get("attempts", "")
        moved = (
            "moved here by the queue itself, after more receives than its redrive policy allows "
            f"(received {received.receive_count} times, looking at it included)"
        )
        return cls(
            message_id=received.message_id,
            receipt_handle=received.receipt_handle,
            body=received.body,
            sent_at=received.sent_at,
            reason=facts.get("reason", UNKNOWN),
            detail=facts.get("detail", "" if "reason" in facts else moved),
            request_id=facts.get("request_id"),
            rejected_message_id=facts.get("message_id"),
            attempts=int(attempts) if attempts.isdecimal() else None,
            order_ids=tuple(filter(None, facts.get("order_ids", "").split(","))),
            log=facts.get("log"),
        )

    @property
    def ids(self) -> tuple[str, ...]:
        """What the letter can be asked for by, the best known first."""
        return tuple(filter(None, (self.request_id, self.rejected_message_id, self.message_id)))

    @property
    def audio(self) -> str | None:
        """The recording that was asked for; None where the body does not tell."""
        try:
            requests = parse(self.body)
        except Rejected:
            return None
        return ", ".join(request.audio for request in requests) or None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant; an empty field leaves nothing out."""

    ids: Collection[str] = ()
    reasons: Collection[str] = ()
    sent_before: datetime | None = None
    sent_after: datetime | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether the letter is meant."""
        return (
            (not self.ids or any(name in self.ids for name in letter.ids))
            and (not self.reasons or letter.reason in self.reasons)
            and (self.sent_before is None or letter.sent_at < self.sent_before)
            and (self.sent_after is None or letter.sent_at > self.sent_after)
        )


class Scan:
    """One look through a queue of dead letters, each once; at its end all are visible again.

        async with Scan(queue, Selection(reasons={"missing"}), started_at=utc_now()) as scan:
            async for letters in scan:
                ...

    The letters that are meant come as they are received, at most 10 at a time and `limit` in all.
    A scan ends when a receive brings nothing new and it has seen as many letters as the queue
    counted, or after a few such receives; `complete` tells which. Letters that came after
    `started_at` are left alone, so that what is sent again and fails at once is not met twice.
    What it remembers of a letter is its id and, while it is hidden, its handle. Methods may raise
    `ServiceError`.
    """

    def __init__(
        self,
        queue: Queue,
        selection: Selection,
        *,
        started_at: datetime,
        limit: int | None = None,
    ) -> None:
        self._queue = queue
        self._selection = selection
        self._started_at = started_at
        self._seen: set[str] = set()
        self._handles: dict[str, str] = {}
        self._hidden_seconds = HIDDEN_MIN_SECONDS
        self._left = limit
        self.limit = limit
        self.depth = QueueDepth(0, 0)
        self.newer = 0

    async def __aenter__(self) -> Self:
        self.depth = await self._queue.depth()
        self._hidden_seconds = min(
            HIDDEN_MIN_SECONDS + self.depth.visible // LETTERS_PER_SECOND, HIDDEN_MAX_SECONDS
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        handles = list(self._handles.values())
        try:
            for start in range(0, len(handles), RELEASED_AT_ONCE):
                await self._queue.extend(handles[start : start + RELEASED_AT_ONCE], 0)
        except ServiceError:
            # They are visible again when their time is over; what went wrong first is told.
            return

    @property
    def seen(self) -> int:
        """How many letters there were, meant or not, but for the newer ones."""
        return len(self._seen) - self.newer

    @property
    def complete(self) -> bool:
        """Whether as many letters were seen as the queue counted."""
        return self.seen >= self.depth.visible

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> list[Letter]:
        without_news = 0
        while without_news < RECEIVES_WITHOUT_NEWS_MAX and self._left != 0:
            letters = await self._fresh()
            without_news = 0 if letters else without_news + 1
            if without_news and self.complete:
                break
            if chosen := [one for one in letters if self._selection.takes(one)][: self._left]:
                self._left = None if self._left is None else self._left - len(chosen)
                return chosen
        raise StopAsyncIteration

    async def delete(self, letters: Sequence[Letter]) -> list[Letter]:
        """Delete letters of this scan. Returns those that could not be."""
        # A letter that came twice can be deleted by its newest handle only.
        handles = {self._handles[letter.message_id]: letter for letter in letters}
        failed = await self._queue.delete(list(handles))
        for handle, letter in handles.items():
            if handle not in failed:
                del self._handles[letter.message_id]
        return [handles[handle] for handle in failed]

    async def redrive(self, letters: Sequence[Letter], requests: Queue) -> list[Letter]:
        """Send the bodies as new messages, then delete the letters; returns what stayed.

        In this order a crash loses nothing: it leaves letters of requests that were sent again.
        """
        await requests.send([Outgoing(letter.body) for letter in letters])
        return await self.delete(letters)

    async def _fresh(self) -> list[Letter]:
        """Receive once; the letters that are new to this scan."""
        received = await self._receive()
        fresh = {one.message_id: one for one in received if one.message_id not in self._seen}
        self._seen.update(fresh)
        letters = [Letter.read(one) for one in fresh.values() if one.sent_at <= self._started_at]
        self.newer += len(fresh) - len(letters)
        return letters

    async def _receive(self) -> list[Received]:
        receiving = asyncio.ensure_future(
            self._queue.receive(QUEUE_BATCH_MAX, WAIT_SECONDS, self._hidden_seconds)
        )
        try:
            received = await asyncio.shield(receiving)
        except asyncio.CancelledError:
            # Letters that are on their way would stay hidden: they must be known to be shown again.
            await asyncio.wait([receiving], timeout=2 * WAIT_SECONDS)
            if receiving.done() and receiving.exception() is None:
                self._note(receiving.result())
            raise
        self._note(received)
        return received

    def _note(self, received: Sequence[Received]) -> None:
        self._handles.update((one.message_id, one.receipt_handle) for one in received)
