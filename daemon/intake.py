"""Intake: takes messages from the request queue and makes them requests the daemon answers for.

A message that can never work goes to the dead-letter queue at once, with the reason. A second copy
of a request that is held or under way is kept beside the first, so that both are deleted together;
a copy of a finished one is deleted. Only a message that was received before can have left traces:
its request may be in an order of a daemon that is gone, and the record tells how it stands. A first
copy costs no look into the ledger; if its request is done all the same, its worker finds out.

Intake stops receiving while enough work is outstanding: the backlog waits in SQS, where it costs
nothing. A receive in progress is never cancelled.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from daemon.clock import Clock
from daemon.dead_letters import dead_letter
from daemon.liveness import getting_on
from daemon.metrics import Metrics
from daemon.outstanding import Outstanding, Owed
from daemon.ports import Outgoing, Queue, Received, ServiceError
from daemon.records import Records
from daemon.request import Rejected, RejectReason, Request, parse
from daemon.settings import Settings
from daemon.settle import Fate, bury, verdict
from daemon.unreadable import tell_unreadable
from neuron_worker.contract import Record, S3Uri, UnreadableDocument, WorkItem
from neuron_worker.contract.ledger import KEY_MAX_BYTES
from neuron_worker.contract.order import Message

log = structlog.get_logger()

RECEIVE_MAX = 10

BODIES_MAX_CHARACTERS = 32_000_000
"""Of all that is outstanding. A body is kept three times, as text, parsed and in its order, so that
few long ones take as much memory as many short ones."""

MESSAGE_FIELDS = set(Message.model_fields)
"""One set for all messages: of its own, each would need as much memory as for the rest of it."""

UNDECIDED_SECONDS = 15
DOUBLINGS_MAX = 6
"""How long a message that could not be decided on is put off: twice as long each time, up to a
quarter of an hour.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """Turns deliveries into owed requests."""

    requests: Queue
    dead_letters: Queue
    records: Records
    outstanding: Outstanding
    adopt: Callable[[], Awaitable[None]]
    """Takes over the open orders that this daemon does not know."""
    stopping: asyncio.Event
    settings: Settings
    metrics: Metrics
    clock: Clock

    @property
    def full(self) -> bool:
        """Whether enough work is outstanding."""
        return (
            self.outstanding.messages >= self.settings.intake.outstanding_max
            or self.outstanding.characters >= BODIES_MAX_CHARACTERS
        )

    async def poll(self) -> int:
        """Receive once and take what came; returns how many messages came."""
        settings = self.settings.intake
        received = await self.requests.receive(
            RECEIVE_MAX, settings.wait_seconds, settings.visibility_seconds
        )
        self.metrics.requests.received.inc(len(received))
        for position, message in enumerate(received):
            getting_on()
            if self.stopping.is_set():
                await self._give_back(received[position:])
                break
            try:
                await self._take(message)
            except ServiceError:
                # Without the ledger nothing can be decided.
                self.metrics.requests.undecided.inc(len(received) - position)
                await self._put_off(received[position:])
                raise
        return len(received)

    async def _give_back(self, messages: Sequence[Received]) -> None:
        await self.requests.extend([message.receipt_handle for message in messages], 0)

    async def _put_off(self, messages: Sequence[Received]) -> None:
        """Show messages again after a while, each time a longer one: what is out of reach is so for
        everybody, and the queue gives up what is received too often.
        """
        by_delay = defaultdict[int, list[str]](list)
        for message in messages:
            delay_seconds = UNDECIDED_SECONDS * 2 ** min(message.receive_count - 1, DOUBLINGS_MAX)
            by_delay[delay_seconds].append(message.receipt_handle)
        for delay_seconds, handles in by_delay.items():
            await self.requests.extend(handles, delay_seconds)

    async def _take(self, message: Received) -> None:
        try:
            requests = parse(message.body)
            if len(requests) > 1:
                await self._split(message, requests)
            elif not requests:
                log.info("test_event_deleted", message_id=message.message_id)
                await self.requests.delete([message.receipt_handle])
            else:
                await self._consider(message, requests[0])
        except Rejected as rejection:
            await self._reject(message, rejection)

    async def _consider(self, message: Received, request: Request) -> None:
        owed = self._owed(message, request)
        request_id = owed.item.request_id
        if (known := self.outstanding.get(request_id)) is not None:
            self._join(known, owed, message)
            return
        if self.outstanding.recently_finished(request_id):
            await self._drop(message, request_id, "finished")
            return
        if message.receive_count > 1:
            await self.adopt()
            try:
                settled = await self._settled(message, owed)
            except UnreadableDocument as error:
                raise Rejected(RejectReason.RECORD_UNREADABLE, str(error), request_id) from error
            if settled:
                return
        # Another poller may have been here meanwhile.
        if (known := self.outstanding.get(request_id)) is not None:
            self._join(known, owed, message)
            return
        self.outstanding.admit(owed)
        log.info("request_held", request_id=request_id, audio=owed.item.audio)

    async def _settled(self, message: Received, owed: Owed) -> bool:
        """Whether the record says that nothing is owed any more; then the message is deleted."""
        request_id = owed.item.request_id
        record = await self.records.get(request_id)
        if record.done is not None:
            await self._drop(message, request_id, "finished")
            return True
        failed = record.outcomes and record.dead_lettered_at is None
        if failed and self._resume(owed, record) is Fate.DEAD_LETTER:
            record = await self.records.give_up(record, (message.message_id,), self.clock())
        if message.message_id not in record.message_ids:
            # Not given up, or asked for anew since.
            return False
        if not record.letter_sent:
            await bury(message.body, record, self.dead_letters, self.records)
        await self._drop(message, request_id, "dead_lettered")
        return True

    def _resume(self, owed: Owed, record: Record) -> Fate:
        """Go on where an earlier daemon was with a request that failed."""
        last = record.outcomes[-1]
        # Whether there was an outage, nobody remembers.
        judged = verdict(last, record, self.settings.retries, outage=True)
        owed.item = owed.item.model_copy(update={"attempt": record.blamed_attempts + 1})
        owed.alone = judged.alone
        owed.not_before = last.finished_at + timedelta(seconds=judged.delay_seconds)
        return judged.fate

    def _owed(self, message: Received, request: Request) -> Owed:
        profile = request.profile or self.settings.default_profile
        if profile not in self.settings.profiles:
            raise Rejected(
                RejectReason.UNKNOWN_PROFILE,
                f"profile: no lane runs {profile!r} (lanes run: "
                f"{', '.join(sorted(self.settings.profiles))})",
                request.request_id,
            )
        now = self.clock()
        return Owed(
            item=self._work_item(request, message.message_id),
            profile=profile,
            hints=request.hints(),
            held_since=now,
            priority=request.priority,
            deadline=request.deadline,
            messages={
                message.message_id: Message.model_construct(
                    MESSAGE_FIELDS,
                    message_id=message.message_id,
                    receipt_handle=message.receipt_handle,
                    body=message.body,
                    received_at=now,
                    sent_at=message.sent_at,
                )
            },
        )

    def _work_item(self, request: Request, message_id: str) -> WorkItem:
        output = request.output or self.settings.locations.output
        refusal = self.settings.allowed_locations.refuse(
            S3Uri.parse(request.audio), S3Uri.parse(output)
        )
        if refusal is not None:
            raise Rejected(RejectReason.LOCATION_NOT_ALLOWED, refusal, request.request_id)
        # All of it was checked as part of the request.
        item = WorkItem.model_construct(
            request_id=request.request_id or request.content_id() or message_id,
            audio=request.audio,
            audio_version=request.audio_version,
            output=output,
            options=request.options(),
            metadata=request.metadata,
        )
        longest_format = max(item.options.formats, key=len)
        longest = len(item.transcript(longest_format).key.encode())
        if longest > KEY_MAX_BYTES:
            raise Rejected(
                RejectReason.INVALID_FIELD,
                f"audio, output: the transcript's key would be {longest} bytes long, S3 allows "
                f"{KEY_MAX_BYTES}: name a shorter output",
                request.request_id,
            )
        return item

    def _join(self, known: Owed, copy: Owed, message: Received) -> None:
        # How often each was tried, the record knows; what is wanted has to be the same.
        same = known.item == copy.item.model_copy(update={"attempt": known.item.attempt})
        if not same or known.profile != copy.profile:
            raise Rejected(
                RejectReason.CONFLICTING_ID,
                f"request_id: another request of the id {known.item.request_id!r} is under way, "
                f"for {known.item.audio} and with other options",
            )
        self.outstanding.join(known, copy.messages[message.message_id])
        known.priority = max(known.priority, copy.priority)
        known.deadline = min(filter(None, (known.deadline, copy.deadline)), default=None)
        self.metrics.requests.duplicates.labels("outstanding").inc()
        log.info(
            "duplicate_joined", request_id=known.item.request_id, message_id=message.message_id
        )

    async def _drop(self, message: Received, request_id: str, known_as: str) -> None:
        await self.requests.delete([message.receipt_handle])
        self.metrics.requests.duplicates.labels(known_as).inc()
        log.info("duplicate_deleted", request_id=request_id, known_as=known_as)

    async def _split(self, message: Received, requests: tuple[Request, ...]) -> None:
        """One message per object: ids are the same each time, so repeating this harms nothing."""
        await self.requests.send([Outgoing(r.to_json().decode()) for r in requests])
        await self.requests.delete([message.receipt_handle])
        log.info("notification_split", message_id=message.message_id, requests=len(requests))

    async def _reject(self, message: Received, rejection: Rejected) -> None:
        facts = {"message_id": message.message_id, "request_id": rejection.request_id or ""}
        letter = dead_letter(
            message.body, reason=rejection.reason, detail=rejection.detail, facts=facts
        )
        await self.dead_letters.send([letter])
        await self._note_rejection(rejection)
        await self.requests.delete([message.receipt_handle])
        self.metrics.requests.rejected.labels(rejection.reason).inc()
        log.error("message_rejected", reason=rejection.reason, detail=rejection.detail, **facts)

    async def _note_rejection(self, rejection: Rejected) -> None:
        if rejection.request_id is None:
            return
        try:
            await self.records.reject(rejection.request_id, rejection.detail)
        except UnreadableDocument as error:
            tell_unreadable(error, self.metrics)
