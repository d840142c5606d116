"""A bell that nobody hears: it must not be felt."""

import socket
import time
from collections.abc import Iterator

import pytest

from neuron_worker import bell
from neuron_worker.bell import Bell

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/events"
AT_ONCE_SECONDS = 0.2


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """An SQS that takes connections and never answers."""
    monkeypatch.setattr(bell, "LAST_RING_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        yield server


def seconds_of(began: float) -> float:
    return time.monotonic() - began


def test_a_queue_that_never_answers_holds_nobody_up(deaf: socket.socket) -> None:
    with Bell(QUEUE, "order-1", 0) as heard_by_nobody:
        began = time.monotonic()
        for _ in range(1_000):
            heard_by_nobody.ring()
        assert seconds_of(began) < AT_ONCE_SECONDS
        deaf.settimeout(10)
        connection, _ = deaf.accept()
        began = time.monotonic()
    assert 0.9 < seconds_of(began) < 3, "the end waits, but not for long"
    connection.close()


def test_a_queue_out_of_reach_is_only_a_warning(
    deaf: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    deaf.close()
    with Bell(QUEUE, "order-1", 0) as unheard:
        unheard.ring()
    assert "bell_not_heard" in capsys.readouterr().out


@pytest.mark.parametrize("url", ["nonsense", "https://sqs..amazonaws.com/", "http://[/"])
def test_an_address_that_is_none_is_only_a_warning(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with Bell(url, "order-1", 0) as lost:
        lost.ring()
    assert "bell_not_heard" in capsys.readouterr().out


def test_without_a_queue_the_bell_is_silent(
    deaf: socket.socket, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    with Bell(None, "order-1", 0) as silent:
        silent.ring()
    assert seconds_of(began) < AT_ONCE_SECONDS
    deaf.settimeout(0)
    with pytest.raises(BlockingIOError):
        deaf.accept()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("url", "region"),
    [
        (QUEUE, "eu-west-1"),
        ("https://sqs-fips.us-gov-west-1.amazonaws.com/1/q", "us-gov-west-1"),
        ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", "cn-north-1"),
    ],
)
def test_the_region_is_the_queues_own(
    url: str, region: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert bell._client(url).meta.region_name == region


def test_elsewhere_the_region_is_the_environments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    assert bell._client("http://127.0.0.1:4566/1/q").meta.region_name == "us-west-2"
