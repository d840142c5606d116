"""The requests that the daemon answers for: held until ordered, then under way until settled.

Memory only: SQS holds what is owed, the ledger what was ordered. Invariant: every message that was
received and not yet deleted, dead-lettered or released belongs to exactly one `Owed` here.
"""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from daemon.request import Hints
from neuron_worker.contract import Order, WorkItem
from neuron_worker.contract.order import Message

REMEMBERED_MAX = 20_000
"""Finished requests that are remembered to recognise a second copy without asking the ledger."""


@dataclass(slots=True)
class Owed:
    """One request, the messages that owe it, and how it stands."""

    item: WorkItem
    profile: str
    hints: Hints
    held_since: datetime
    messages: dict[str, Message] = field(default_factory=dict)
    not_before: datetime | None = None
    alone: bool = False
    priority: int = 0
    deadline: datetime | None = None
    ranges: int | None = None
    """Into how many its recording was cut, if it was."""
    order_id: str | None = None

    @property
    def message(self) -> Message:
        """The message that came first."""
        return next(iter(self.messages.values()))

    @property
    def sent_at(self) -> datetime:
        """When that message was sent to the queue; when it was taken, if nobody noted it."""
        message = self.message
        return message.sent_at or message.received_at

    @property
    def newest(self) -> Message:
        """The message that asked last."""
        return max(self.messages.values(), key=lambda message: message.received_at)

    @property
    def asked_at(self) -> datetime:
        """When it was last asked for: when the newest message was first taken from the queue."""
        return self.newest.received_at

    @property
    def characters(self) -> int:
        """Of its messages' bodies."""
        return sum(len(message.body) for message in self.messages.values())

    @property
    def receipt_handles(self) -> list[str]:
        """The newest handle of every message."""
        return [message.receipt_handle for message in self.messages.values()]


class Outstanding:
    """All owed requests, by request id."""

    def __init__(self) -> None:
        self._owed: dict[str, Owed] = {}
        self._held: dict[str, Owed] = {}
        self._orders: dict[str, dict[str, Owed]] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._copies = 0
        self._characters = 0

    def __len__(self) -> int:
        return len(self._owed)

    @property
    def messages(self) -> int:
        """How many messages owe them; a second copy of a request counts, too."""
        return len(self._owed) + self._copies

    @property
    def characters(self) -> int:
        """How long their bodies are together: what is kept of each request grows with it."""
        return self._characters

    def get(self, request_id: str) -> Owed | None:
        """The owed request, if it is outstanding."""
        return self._owed.get(request_id)

    def admit(self, owed: Owed) -> None:
        """Answer for a request from now on."""
        self._owed[owed.item.request_id] = owed
        self._characters += owed.characters
        self.move(owed, owed.order_id)

    def adopt(self, owed: Owed) -> None:
        """Answer for a request of an order that was found, beside what is known of it already.

        One that was settled not long ago is owed no more.
        """
        request_id = owed.item.request_id
        known = self._owed.get(request_id)
        if known is not None:
            # Handles that were received here are newer than those in the order.
            received, known.messages = known.messages, dict(owed.messages)
            self._copies += len(known.messages) - len(received)
            self._characters += owed.characters - sum(len(m.body) for m in received.values())
            for message in received.values():
                self.join(known, message)
            known.ranges = owed.ranges
            self.move(known, owed.order_id)
        elif request_id not in self._finished:
            self.admit(owed)

    def join(self, known: Owed, message: Message) -> None:
        """Keep one more message of a request; one that came again has a new handle, and asks since
        it came first.
        """
        before = known.messages.get(message.message_id)
        if before is None:
            self._copies += 1
            self._characters += len(message.body)
        else:
            first = min(before.received_at, message.received_at)
            message = message.model_copy(update={"received_at": first})
        known.messages[message.message_id] = message

    def move(self, owed: Owed, order_id: str | None) -> None:
        """Put a request under way in an order, or hold it (None)."""
        request_id = owed.item.request_id
        self._leave(owed)
        owed.order_id = order_id
        if order_id is None:
            self._held[request_id] = owed
        else:
            self._orders.setdefault(order_id, {})[request_id] = owed

    def is_held(self, request_id: str) -> bool:
        """Whether it is outstanding and in no order."""
        return request_id in self._held

    def held(self) -> list[Owed]:
        """Requests that are in no order, oldest first."""
        return list(self._held.values())

    def ordered(self) -> list[Owed]:
        """Requests that are in an order under way."""
        return [owed for inside in self._orders.values() for owed in inside.values()]

    def in_order(self, order_id: str) -> list[Owed]:
        """Requests that are under way in one order."""
        return list(self._orders.get(order_id, {}).values())

    def oldest_sent_at(self) -> datetime | None:
        """When the oldest request was sent to the queue; None without any."""
        return min((owed.sent_at for owed in self._owed.values()), default=None)

    def owes(self, order: Order, shard_index: int) -> bool:
        """Whether a request of the shard has not been settled yet."""
        inside = self._orders.get(order.order_id, {})
        return any(item.request_id in inside for item in order.shards[shard_index].items)

    def forget(self, request_ids: Iterable[str]) -> None:
        """Stop answering for requests whose messages are gone or were given back."""
        for request_id in request_ids:
            owed = self._owed.pop(request_id, None)
            if owed is not None:
                self._copies -= len(owed.messages) - 1
                self._characters -= owed.characters
                self._leave(owed)

    def finish(self, request_id: str) -> None:
        """Forget a settled request, but know it again for a while."""
        self.forget([request_id])
        self._finished[request_id] = None
        if len(self._finished) > REMEMBERED_MAX:
            self._finished.popitem(last=False)

    def recently_finished(self, request_id: str) -> bool:
        """Whether this daemon settled the request not long ago."""
        return request_id in self._finished

    def _leave(self, owed: Owed) -> None:
        request_id = owed.item.request_id
        self._held.pop(request_id, None)
        if owed.order_id is not None and (inside := self._orders.get(owed.order_id)):
            inside.pop(request_id, None)
            if not inside:
                del self._orders[owed.order_id]
