from collections.abc import Callable
from typing import Any

from daemon.embedded.sqs.mishaps import Mishaps


def test_a_message_can_be_delivered_once_more_while_it_is_hidden(
    make_queue: Callable[..., Any],
) -> None:
    queue = make_queue(mishaps=Mishaps(delivered_twice=1.0))
    queue.send()
    first = queue.receive_one()
    assert queue.next_visible_at() == queue.now
    second = queue.receive_one()
    assert second.message_id == first.message_id
    assert (second.receive_count, queue.counts()) == (2, (0, 1, 0))
    queue.delete(first)
    assert queue.counts() == (0, 1, 0), "the first handle is an old one now"
    queue.delete(second)
    assert queue.receive() == []


def test_a_deleted_message_is_not_delivered_once_more(make_queue: Callable[..., Any]) -> None:
    queue = make_queue(mishaps=Mishaps(delivered_twice=1.0))
    queue.send()
    queue.delete(queue.receive_one())
    assert queue.receive() == []
    assert queue.next_visible_at() is None


def test_a_deleted_message_can_come_back_once(make_queue: Callable[..., Any]) -> None:
    queue = make_queue(mishaps=Mishaps(deleted_in_vain=1.0))
    sent = queue.send()
    queue.delete(queue.receive_one())
    assert queue.receive() == []
    queue.now += 30
    again = queue.receive_one()
    assert again.message_id == sent
    queue.delete(again)
    queue.now += 30
    assert queue.receive() == []
    assert queue.counts() == (0, 0, 0)


def test_messages_can_come_out_of_order_and_none_is_lost(make_queue: Callable[..., Any]) -> None:
    queue = make_queue(mishaps=Mishaps(out_of_order=0.5))
    bodies = [f"{number:02d}" for number in range(50)]
    for body in bodies:
        queue.send(body)
    received = [body for _ in range(5) for body in queue.bodies()]
    assert received != bodies
    assert sorted(received) == bodies


def test_every_mishap_at_once_loses_nothing(make_queue: Callable[..., Any]) -> None:
    queue = make_queue(mishaps=Mishaps(0.3, 0.3, 0.3))
    sent = {queue.send() for _ in range(200)}
    seen: set[str] = set()
    for _ in range(2_000):
        for delivery in queue.receive():
            seen.add(delivery.message_id)
            queue.delete(delivery)
        queue.now += 1
    assert seen == sent
    assert queue.counts() == (0, 0, 0)


def test_nothing_goes_wrong_unless_asked(make_queue: Callable[..., Any]) -> None:
    queue = make_queue()
    for number in range(500):
        queue.send(str(number))
    received: list[str] = []
    while deliveries := queue.receive():
        received += [delivery.body for delivery in deliveries]
        for delivery in deliveries:
            queue.delete(delivery)
    assert received == [str(number) for number in range(500)]
    queue.now += 1_000
    assert queue.receive() == []
