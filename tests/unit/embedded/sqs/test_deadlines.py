from daemon.embedded.sqs.deadlines import Deadlines
from daemon.embedded.sqs.messages import Message


def message(message_id: str) -> Message:
    return Message(message_id, "body", {}, 0.0)


def test_what_is_due_comes_in_order_and_once() -> None:
    deadlines = Deadlines()
    for message_id, due in (("late", 3.0), ("first", 1.0), ("second", 1.0)):
        deadlines.set(message(message_id), due)
    taken = []
    while due_message := deadlines.take_due(2.0):
        taken.append(due_message.message_id)
    assert taken == ["first", "second"]
    assert (len(deadlines), deadlines.first()) == (1, 3.0)
    assert "late" in deadlines
    assert "first" not in deadlines


def test_a_new_time_replaces_the_old_one() -> None:
    deadlines, one = Deadlines(), message("one")
    deadlines.set(one, 1.0)
    deadlines.set(one, 5.0)
    assert deadlines.take_due(4.0) is None
    assert deadlines.take_due(5.0) is one
    assert deadlines.take_due(9.0) is None


def test_what_is_dropped_is_never_due() -> None:
    deadlines = Deadlines()
    deadlines.set(message("one"), 1.0)
    deadlines.drop("one")
    deadlines.drop("unknown")
    assert (len(deadlines), deadlines.first(), deadlines.take_due(9.0)) == (0, None, None)


def test_forgotten_times_do_not_pile_up() -> None:
    deadlines, one = Deadlines(), message("one")
    for due in range(10_000):
        deadlines.set(one, float(due))
    assert len(deadlines._heap) < 100
