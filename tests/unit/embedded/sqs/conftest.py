import random
from collections.abc import Callable
from typing import Any

import pytest

from daemon.embedded.sqs.messages import Delivery
from daemon.embedded.sqs.model import Account, SqsModel
from daemon.embedded.sqs.queue import Queue
from daemon.embedded.sqs.settings import QueueSettings

ARN = "arn:aws:sqs:us-east-1:000000000000:requests"


class Clocked:
    """A queue on a clock that the test sets."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.now = 1_000.0

    def send(self, body: str = "body", delay: int | None = None) -> str:
        return self.queue.send(body, {}, self.now, delay).message_id

    def receive(self, most: int = 10, visibility: int | None = None) -> list[Delivery]:
        return self.queue.receive(most, self.now, visibility)

    def receive_one(self, visibility: int | None = None) -> Delivery:
        [delivery] = self.receive(1, visibility)
        return delivery

    def bodies(self, most: int = 10, visibility: int | None = None) -> list[str]:
        return [delivery.body for delivery in self.receive(most, visibility)]

    def change(self, delivery: Delivery, seconds: int) -> None:
        self.queue.change_visibility(delivery.receipt_handle, seconds, self.now)

    def delete(self, delivery: Delivery) -> None:
        self.queue.delete(delivery.receipt_handle, self.now)

    def counts(self) -> tuple[int, int, int]:
        """Visible, in flight and delayed."""
        counts = self.queue.counts(self.now)
        return counts.visible, counts.in_flight, counts.delayed

    def next_visible_at(self) -> float | None:
        return self.queue.next_visible_at(self.now)


@pytest.fixture
def make_queue() -> Callable[..., Clocked]:
    """Makes a queue; settings and options of `Queue` by name."""

    def make_queue(settings: QueueSettings | None = None, seed: int = 7, **options: Any) -> Clocked:
        return Clocked(Queue(ARN, random.Random(seed), settings, **options))

    return make_queue


@pytest.fixture
def queue(make_queue: Callable[..., Clocked]) -> Clocked:
    return make_queue()


@pytest.fixture
def model() -> SqsModel:
    return SqsModel(Account(), random.Random(7))
