from daemon.embedded.batch.agenda import Agenda


def test_due_timers_come_in_order_of_time_and_then_of_setting() -> None:
    agenda, happened = Agenda(), []
    agenda.at(2.0, lambda _: happened.append("late"))
    agenda.at(1.0, lambda _: happened.append("first"))
    agenda.at(1.0, lambda _: happened.append("second"))
    while timer := agenda.take_due(1.5):
        timer.fire(1.5)
    assert happened == ["first", "second"]
    assert agenda.next_deadline() == 2.0


def test_a_cancelled_timer_is_no_deadline() -> None:
    agenda = Agenda()
    agenda.at(1.0, lambda _: None).cancel()
    assert agenda.next_deadline() is None
    assert agenda.take_due(9.0) is None


def test_a_timer_learns_the_time_at_which_it_fires() -> None:
    agenda, times = Agenda(), list[float]()
    agenda.at(1.0, times.append)
    timer = agenda.take_due(3.0)
    assert timer is not None
    timer.fire(3.0)
    assert times == [3.0]
