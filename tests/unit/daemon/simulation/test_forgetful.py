import pytest

from daemon.simulation.forgetful import ForgetfulObjects
from neuron_worker.contract import Ledger, S3Uri

LEDGER = Ledger(S3Uri("ledger", "some/prefix"))


@pytest.fixture
def objects() -> ForgetfulObjects:
    return ForgetfulObjects(LEDGER, keep_seconds=100)


def test_a_closed_order_goes_with_its_reports_and_no_other(objects: ForgetfulObjects) -> None:
    for order_id in ("wf-1", "wf-2"):
        objects.put(LEDGER.open_order(order_id), b"{}")
        objects.put(LEDGER.report(order_id, 0), b"{}")

    objects.put(LEDGER.closed_order("wf-1"), b"{}")

    assert objects.get(LEDGER.closed_order("wf-1")) is None
    assert objects.list(LEDGER.reports("wf-1")) == []
    assert len(objects.list(LEDGER.reports("wf-2"))) == 1
    assert objects.get(LEDGER.open_order("wf-2")) is not None


def test_a_record_goes_some_time_after_its_message(objects: ForgetfulObjects) -> None:
    objects.put(LEDGER.record("a"), b"{}")
    objects.put(LEDGER.record("b"), b"{}")
    objects.done("a", 10)
    objects.done("b", 50)

    objects.forget(111)

    assert objects.get(LEDGER.record("a")) is None
    assert objects.get(LEDGER.record("b")) is not None


def test_a_record_stays_whose_message_came_back(objects: ForgetfulObjects) -> None:
    objects.put(LEDGER.record("a"), b"{}")
    objects.done("a", 10)
    objects.came_back("a")

    objects.forget(1_000)

    assert objects.get(LEDGER.record("a")) is not None
