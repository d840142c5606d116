"""Outstanding against a naive model: who owes what, in which order, in whatever sequence."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from daemon import outstanding as module
from daemon.outstanding import Outstanding, Owed
from daemon.request import Hints
from neuron_worker.contract import WorkItem
from neuron_worker.contract.order import Message

NOW = datetime(2026, 11, 27, tzinfo=UTC)

REQUESTS = st.sampled_from(["a", "b", "c", "d"])
MESSAGES = st.sampled_from(["m1", "m2", "m3"])
ORDERS = st.sampled_from(["o1", "o2"])


LETTERS = "abcdefgh"


def body_length(message_id: str) -> int:
    """Another one for each message."""
    return 1 << int(message_id.removeprefix("m") or 0)


def message(request_id: str, message_id: str, handle: int, seconds: float = 0.0) -> Message:
    return Message(
        message_id=f"{request_id}-{message_id}",
        receipt_handle=f"{request_id}-{message_id}-{handle}",
        body=LETTERS[: body_length(message_id)],
        received_at=NOW + timedelta(seconds=seconds),
    )


def owed(request_id: str, first: Message, order_id: str | None = None) -> Owed:
    item = WorkItem(request_id=request_id, audio="s3://recordings/a.wav", output="s3://out/")
    return Owed(item, "tiny.en", Hints(), NOW, {first.message_id: first}, order_id=order_id)


@dataclass
class Naive:
    """A request as the model sees it: handles by message id, oldest first."""

    handles: dict[str, str]
    order_id: str | None = None


@dataclass
class Model:
    owed: dict[str, Naive] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)


class Machine(RuleBasedStateMachine):
    """What intake, orders and settle do, in any sequence that they can."""

    def __init__(self) -> None:
        super().__init__()
        self.real, self.model = Outstanding(), Model()
        self.handle = 0

    def message(self, request_id: str, message_id: str) -> Message:
        self.handle += 1
        return message(request_id, message_id, self.handle)

    @rule(request_id=REQUESTS, message_id=MESSAGES)
    def receive(self, request_id: str, message_id: str) -> None:
        """Intake admits a request, or joins a copy; of what is finished it drops the message."""
        new = self.message(request_id, message_id)
        known, naive = self.real.get(request_id), self.model.owed.get(request_id)
        if known is not None and naive is not None:
            self.real.join(known, new)
            naive.handles[new.message_id] = new.receipt_handle
        elif not self.real.recently_finished(request_id):
            self.real.admit(owed(request_id, new))
            self.model.owed[request_id] = Naive({new.message_id: new.receipt_handle})

    @rule(request_id=REQUESTS, message_id=MESSAGES, order_id=ORDERS)
    def adopt(self, request_id: str, message_id: str, order_id: str) -> None:
        """An order is found; its handles are older than those that were received here."""
        found = self.message(request_id, message_id)
        self.real.adopt(owed(request_id, found, order_id))
        naive = self.model.owed.get(request_id)
        if naive is not None:
            naive.handles = {found.message_id: found.receipt_handle} | naive.handles
            naive.order_id = order_id
        elif request_id not in self.model.finished:
            handles = {found.message_id: found.receipt_handle}
            self.model.owed[request_id] = Naive(handles, order_id)

    @rule(request_id=REQUESTS, order_id=st.none() | ORDERS)
    def move(self, request_id: str, order_id: str | None) -> None:
        known = self.real.get(request_id)
        if known is not None:
            self.real.move(known, order_id)
            self.model.owed[request_id].order_id = order_id

    @rule(request_ids=st.lists(REQUESTS, max_size=3))
    def forget(self, request_ids: list[str]) -> None:
        self.real.forget(request_ids)
        for request_id in request_ids:
            self.model.owed.pop(request_id, None)

    @rule(request_id=REQUESTS)
    def finish(self, request_id: str) -> None:
        self.real.finish(request_id)
        self.model.owed.pop(request_id, None)
        self.model.finished.add(request_id)

    @invariant()
    def the_counts_agree(self) -> None:
        handles = [one.handles for one in self.model.owed.values()]
        assert len(self.real) == len(handles)
        assert self.real.messages == sum(map(len, handles))
        message_ids = [message_id.partition("-")[2] for one in handles for message_id in one]
        assert self.real.characters == sum(map(body_length, message_ids))

    @invariant()
    def every_request_is_where_it_should_be(self) -> None:
        real, model = self.real, self.model.owed
        assert {one.item.request_id for one in real.held()} == {
            name for name, one in model.items() if one.order_id is None
        }
        for order_id in ("o1", "o2"):
            assert {one.item.request_id for one in real.in_order(order_id)} == {
                name for name, one in model.items() if one.order_id == order_id
            }
        ordered = [one.item.request_id for one in real.ordered()]
        assert sorted([*ordered, *(one.item.request_id for one in real.held())]) == sorted(model)

    @invariant()
    def the_newest_handle_of_every_message_is_known(self) -> None:
        for name, naive in self.model.owed.items():
            known = self.real.get(name)
            assert known is not None
            assert known.receipt_handles == list(naive.handles.values())
            assert known.message.message_id == next(iter(naive.handles))

    @invariant()
    def what_is_finished_is_known_again(self) -> None:
        for name in ("a", "b", "c", "d"):
            assert self.real.recently_finished(name) is (name in self.model.finished)


TestOutstanding = Machine.TestCase


def test_held_requests_come_oldest_first() -> None:
    outstanding = Outstanding()
    for name in "abc":
        outstanding.admit(owed(name, message(name, "m", 0)))
    first = outstanding.held()[0]
    outstanding.move(first, "o")
    outstanding.move(first, None)
    assert [one.item.request_id for one in outstanding.held()] == ["b", "c", "a"]


def test_a_message_that_comes_again_asks_since_it_came_first() -> None:
    """Else a request that was given up in between would be asked for anew by its old message."""
    outstanding = Outstanding()
    outstanding.admit(owed("a", message("a", "m", 0)))
    [known] = outstanding.held()
    outstanding.join(known, message("a", "m", 1, seconds=600))
    assert known.receipt_handles == ["a-m-1"]
    assert known.asked_at == NOW


@pytest.mark.parametrize(("here_seconds", "there_seconds"), [(600, 0), (0, 600)])
def test_a_message_that_another_daemon_had_asks_since_either_had_it_first(
    here_seconds: float, there_seconds: float
) -> None:
    outstanding = Outstanding()
    outstanding.admit(owed("a", message("a", "m", 1, here_seconds)))
    outstanding.adopt(owed("a", message("a", "m", 0, there_seconds), "o"))
    [known] = outstanding.ordered()
    assert known.receipt_handles == ["a-m-1"]
    assert known.asked_at == NOW


def test_a_request_asks_since_its_newest_message_came() -> None:
    """Else somebody who sends it again after a dead letter would be answered by the old one."""
    outstanding = Outstanding()
    outstanding.admit(owed("a", message("a", "m1", 0)))
    [known] = outstanding.held()
    outstanding.join(known, message("a", "m2", 0, seconds=600))
    outstanding.join(known, message("a", "m1", 1, seconds=900))
    assert known.asked_at == NOW + timedelta(seconds=600)
    assert known.message.receipt_handle == "a-m1-1"


def test_only_so_many_finished_requests_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_MAX", 2)
    outstanding = Outstanding()
    for name in "abc":
        outstanding.finish(name)
    assert [outstanding.recently_finished(name) for name in "abc"] == [False, True, True]
