from daemon.cli.advice import ADVICE
from daemon.dead_letters import UNKNOWN
from daemon.request import RejectReason
from neuron_worker.contract import Reason


def test_there_is_advice_for_every_reason_that_a_letter_can_have() -> None:
    assert set(ADVICE) == {*Reason, *RejectReason, UNKNOWN}


def test_an_outcome_and_a_rejection_have_a_reason_in_common_only_for_the_same_thing() -> None:
    assert {*Reason} & {*RejectReason} == {"record_unreadable"}
