from daemon.cli.advice import ADVICE
from daemon.dead_letters import UNKNOWN
from daemon.request import RejectReason
from neuron_worker.contract import Reason


def test_there_is_advice_for_every_reason_that_a_letter_can_have() -> None:
    assert set(ADVICE) == {*Reason, *RejectReason, UNKNOWN}


def test_no_reason_of_an_outcome_is_one_of_a_rejection_too() -> None:
    assert len(ADVICE) == len(Reason) + len(RejectReason) + 1
