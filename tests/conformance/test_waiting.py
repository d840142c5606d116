"""Long polls and delays. Sources: sqs-short-and-long-polling.html, sqs-delay-queues.html."""

import threading
import time
from typing import Any


def test_a_long_poll_of_an_empty_queue_waits_and_finds_nothing(lab: Any) -> None:
    url = lab.queue(ReceiveMessageWaitTimeSeconds="1")
    began = time.monotonic()
    assert lab.receive(url) == []
    assert 0.9 < time.monotonic() - began < 3
    began = time.monotonic()
    assert lab.receive(url, WaitTimeSeconds=0) == []
    assert time.monotonic() - began < 0.9


def test_a_long_poll_ends_with_the_first_message(lab: Any) -> None:
    url = lab.queue()
    received: list[dict[str, Any]] = []
    poll = threading.Thread(target=lambda: received.extend(lab.receive(url, WaitTimeSeconds=20)))
    began = time.monotonic()
    poll.start()
    lab.send(url)
    poll.join()
    assert len(received) == 1
    assert time.monotonic() - began < 5


def test_a_long_poll_ends_when_a_message_is_given_back(lab: Any) -> None:
    url = lab.queue()
    lab.send(url)
    message = lab.receive_one(url)
    received: list[dict[str, Any]] = []
    poll = threading.Thread(target=lambda: received.extend(lab.receive(url, WaitTimeSeconds=20)))
    began = time.monotonic()
    poll.start()
    lab.change(url, message, 0)
    poll.join()
    assert len(received) == 1
    assert time.monotonic() - began < 5


def test_a_delayed_message_comes_when_its_delay_is_over(lab: Any) -> None:
    url = lab.queue(DelaySeconds="900")
    lab.send(url, "late")
    lab.send(url, "soon", DelaySeconds=1)
    lab.send(url, "now", DelaySeconds=0)
    assert lab.counts(url) == (1, 0, 2)
    assert [message["Body"] for message in lab.receive(url)] == ["now"]
    assert [message["Body"] for message in lab.receive(url, WaitTimeSeconds=5)] == ["soon"]
