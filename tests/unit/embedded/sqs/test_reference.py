"""The queue against a naive one, which keeps messages in a list and looks through all of it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from daemon.embedded.sqs.errors import SqsError
from daemon.embedded.sqs.messages import Delivery
from daemon.embedded.sqs.queue import DeadLetters, Queue
from daemon.embedded.sqs.settings import QueueSettings

T = TypeVar("T")

RECEIVES_MAX = 3
IN_FLIGHT_MAX = 4
VISIBILITY_SECONDS = 30
RETENTION_SECONDS = 300
TOTAL_SECONDS = 43_200


@dataclass(eq=False)
class NaiveMessage:
    message_id: str
    sent_at: float
    state: str
    due: float = 0.0
    receives: int = 0
    received_at: float = 0.0


@dataclass
class NaiveQueue:
    """What SQS promises, said plainly; `line` is in the order of becoming visible."""

    messages: list[NaiveMessage] = field(default_factory=list)
    line: list[NaiveMessage] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)

    def advance(self, now: float) -> None:
        for old in [one for one in self.messages if one.sent_at <= now - RETENTION_SECONDS]:
            self.forget(old)
        for state in ("delayed", "in flight"):
            due = [one for one in self.messages if one.state == state and one.due <= now]
            for message in sorted(due, key=lambda one: one.due):
                self.show(message)

    def show(self, message: NaiveMessage) -> None:
        message.state = "visible"
        self.line.append(message)

    def hide(self, message: NaiveMessage, due: float) -> None:
        """The latest to be hidden comes last among those due together."""
        message.state, message.due = "in flight", due
        self.messages.remove(message)
        self.messages.append(message)

    def forget(self, message: NaiveMessage) -> None:
        self.messages.remove(message)
        if message in self.line:
            self.line.remove(message)

    def send(self, message_id: str, delay: int, now: float) -> None:
        message = NaiveMessage(message_id, now, "delayed", now + delay)
        self.messages.append(message)
        if delay == 0:
            self.show(message)

    def receive(self, most: int, visibility: int, now: float) -> list[tuple[str, int]] | str:
        flying = sum(one.state == "in flight" for one in self.messages)
        if flying >= IN_FLIGHT_MAX:
            return "OverLimit"
        chosen: list[NaiveMessage] = []
        while self.line and len(chosen) < min(most, IN_FLIGHT_MAX - flying):
            message = self.line[0]
            if message.receives == RECEIVES_MAX:
                self.forget(message)
                self.letters.append(message.message_id)
            else:
                self.line.remove(message)
                chosen.append(message)
        for message in chosen:
            message.receives += 1
            message.received_at = now
            self.hide(message, now + visibility)
        return [(one.message_id, one.receives) for one in chosen]

    def find(self, receipt: Delivery) -> NaiveMessage | None:
        found = [one for one in self.messages if one.message_id == receipt.message_id]
        return found[0] if found else None

    def delete(self, receipt: Delivery) -> None:
        message = self.find(receipt)
        if message is not None and message.receives == receipt.receive_count:
            self.forget(message)

    def change(self, receipt: Delivery, seconds: int, now: float) -> str | None:
        message = self.find(receipt)
        if message is None:
            return "InvalidParameterValue"
        if message.receives != receipt.receive_count or message.state != "in flight":
            return "MessageNotInflight"
        if now + seconds - message.received_at > TOTAL_SECONDS:
            return "InvalidParameterValue"
        if seconds == 0:
            self.show(message)
        else:
            self.hide(message, now + seconds)
        return None

    def next_visible_at(self, now: float) -> float | None:
        flying = [one.due for one in self.messages if one.state == "in flight"]
        if len(flying) >= IN_FLIGHT_MAX:
            return min(flying)
        if self.line:
            return now
        waiting = [one.due for one in self.messages if one.state == "delayed"]
        return min(flying + waiting, default=None)


def outcome(call: Callable[[], T]) -> T | str:
    """What a call answers, or the code of its refusal."""
    try:
        return call()
    except SqsError as refusal:
        return refusal.code


class QueueMachine(RuleBasedStateMachine):
    """The same calls go to both queues; both must answer the same and hold the same."""

    receipts = Bundle("receipts")

    @initialize(seed=st.integers(0, 99))
    def begin(self, seed: int) -> None:
        limits = QueueSettings(
            visibility_seconds=VISIBILITY_SECONDS, retention_seconds=RETENTION_SECONDS
        )
        source = random.Random(seed)
        self.letters = Queue("arn:letters", source)
        self.queue = Queue("arn:queue", source, limits, in_flight_max=IN_FLIGHT_MAX)
        self.queue.dead_letters = DeadLetters(self.letters, RECEIVES_MAX)
        self.naive = NaiveQueue()
        self.now = 1_000.0

    @rule(delay=st.sampled_from([0, 0, 0, 5, 40]))
    def send(self, delay: int) -> None:
        self.naive.advance(self.now)
        sent = self.queue.send("body", {}, self.now, delay)
        self.naive.send(sent.message_id, delay, self.now)

    @rule(
        target=receipts,
        most=st.integers(1, 5),
        visibility=st.sampled_from([None, None, 0, 10, TOTAL_SECONDS]),
    )
    def receive(self, most: int, visibility: int | None) -> object:
        self.naive.advance(self.now)
        hidden_for = VISIBILITY_SECONDS if visibility is None else visibility
        expected = self.naive.receive(most, hidden_for, self.now)
        answer = outcome(lambda: self.queue.receive(most, self.now, visibility))
        if isinstance(answer, str):
            assert answer == expected
            return multiple()
        assert [(one.message_id, one.receive_count) for one in answer] == expected
        return multiple(*answer)

    @rule(receipt=receipts)
    def delete(self, receipt: Delivery) -> None:
        self.naive.advance(self.now)
        self.queue.delete(receipt.receipt_handle, self.now)
        self.naive.delete(receipt)

    @rule(receipt=receipts, seconds=st.sampled_from([0, 10, 60, TOTAL_SECONDS - 50, TOTAL_SECONDS]))
    def change_visibility(self, receipt: Delivery, seconds: int) -> None:
        self.naive.advance(self.now)
        expected = self.naive.change(receipt, seconds, self.now)
        change = partial(self.queue.change_visibility, receipt.receipt_handle, seconds, self.now)
        assert outcome(change) == expected

    @rule(seconds=st.sampled_from([0.5, 5.0, 30.0, 100.0, -3.0, -40.0]))
    def time_passes_or_jumps(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def both_hold_the_same(self) -> None:
        self.naive.advance(self.now)
        counts = self.queue.counts(self.now)
        states = [one.state for one in self.naive.messages]
        assert counts.visible == states.count("visible") == len(self.naive.line)
        assert counts.in_flight == states.count("in flight")
        assert counts.delayed == states.count("delayed")
        assert self.queue.next_visible_at(self.now) == self.naive.next_visible_at(self.now)
        assert self.queue.given_up == len(self.naive.letters)


TestQueue = QueueMachine.TestCase
TestQueue.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
