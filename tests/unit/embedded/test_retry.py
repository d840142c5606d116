import pytest

from daemon.embedded.batch.retry import ExitRule, Failure, RetryAction, RetryStrategy, decide

RETRY, EXIT = RetryAction.RETRY, RetryAction.EXIT
CRASH = Failure(1, None, "Essential container in task exited")
RECLAIM = Failure(None, None, "Host EC2 (instance i-0abc) terminated.")
OUT_OF_MEMORY = Failure(
    137,
    "OutOfMemoryError: Container killed due to memory usage",
    "Essential container in task exited",
)

SPOT_RULES = (
    ExitRule(RETRY, on_status_reason="Host EC2*"),
    ExitRule(EXIT, on_reason="*"),
)
"""The rules AWS recommends for Spot."""


@pytest.mark.parametrize(
    ("rules", "failure", "action"),
    [
        pytest.param((), CRASH, RETRY, id="no rules"),
        pytest.param(SPOT_RULES, RECLAIM, RETRY, id="reclaim"),
        pytest.param(SPOT_RULES, CRASH, EXIT, id="a star matches an absent reason"),
        pytest.param((ExitRule(EXIT, on_exit_code="2"),), CRASH, RETRY, id="no match retries"),
        pytest.param((ExitRule(EXIT, on_exit_code="1"),), CRASH, EXIT, id="exit code"),
        pytest.param((ExitRule(EXIT, on_exit_code="13*"),), OUT_OF_MEMORY, EXIT, id="glob"),
        pytest.param((ExitRule(EXIT, on_exit_code="13"),), OUT_OF_MEMORY, RETRY, id="whole code"),
        pytest.param((ExitRule(EXIT, on_exit_code="1"),), RECLAIM, RETRY, id="no exit code"),
        pytest.param((ExitRule(EXIT, on_reason="OutOf*"),), OUT_OF_MEMORY, EXIT, id="reason"),
        pytest.param((ExitRule(EXIT, on_reason="OutOf"),), OUT_OF_MEMORY, RETRY, id="whole reason"),
        pytest.param(
            (ExitRule(EXIT, on_exit_code="137", on_reason="Cannot*"),),
            OUT_OF_MEMORY,
            RETRY,
            id="every condition must hold",
        ),
        pytest.param(
            (ExitRule(RETRY, on_exit_code="1"), ExitRule(EXIT, on_exit_code="*")),
            CRASH,
            RETRY,
            id="the first match wins",
        ),
        pytest.param(
            (ExitRule(EXIT, on_exit_code="*"), ExitRule(RETRY, on_exit_code="1")),
            CRASH,
            EXIT,
            id="the first match wins, other way round",
        ),
    ],
)
def test_rules_decide_while_attempts_are_left(
    rules: tuple[ExitRule, ...], failure: Failure, action: RetryAction
) -> None:
    assert decide(RetryStrategy(attempts=2, rules=rules), 1, failure) is action


@pytest.mark.parametrize(("made", "action"), [(1, RETRY), (2, RETRY), (3, EXIT)])
def test_no_rule_grants_more_attempts_than_the_strategy_has(made: int, action: RetryAction) -> None:
    strategy = RetryStrategy(attempts=3, rules=(ExitRule(RETRY, on_exit_code="*"),))
    assert decide(strategy, made, CRASH) is action
