import pytest

from daemon.embedded.batch.errors import TooManyRequestsError
from daemon.embedded.batch.throttle import AWS_ALLOWANCES, Allowance, Throttle


def admitted(throttle: Throttle, requests: int, now: float, operation: str = "SubmitJob") -> int:
    """How many of so many requests at one moment are let in."""
    count = 0
    for _ in range(requests):
        try:
            throttle.admit(operation, now)
        except TooManyRequestsError:
            continue
        count += 1
    return count


def test_a_burst_is_let_in_and_then_the_rate() -> None:
    throttle = Throttle({"SubmitJob": Allowance(per_second=10, burst=5)})
    assert admitted(throttle, 20, 100.0) == 5
    assert admitted(throttle, 20, 100.35) == 3
    assert admitted(throttle, 20, 1_000.0) == 5, "no more than a burst is saved up"


def test_what_is_turned_away_costs_nothing() -> None:
    throttle = Throttle({"SubmitJob": Allowance(per_second=1, burst=1)})
    assert admitted(throttle, 100, 0.0) == 1
    assert admitted(throttle, 1, 1.0) == 1


def test_each_operation_has_an_allowance_of_its_own_or_none() -> None:
    throttle = Throttle({"SubmitJob": Allowance(1, 1), "ListJobs": Allowance(1, 2)})
    assert admitted(throttle, 10, 0.0) == 1
    assert admitted(throttle, 10, 0.0, "ListJobs") == 2
    assert admitted(throttle, 10, 0.0, "DescribeJobs") == 10


def test_a_refusal_is_a_429() -> None:
    throttle = Throttle({"SubmitJob": Allowance(0, 0)})
    with pytest.raises(TooManyRequestsError, match="Too Many Requests") as refusal:
        throttle.admit("SubmitJob", 0.0)
    assert (refusal.value.http_status, refusal.value.code) == (429, "TooManyRequestsException")


def test_aws_lets_fifty_jobs_be_submitted_a_second() -> None:
    throttle = Throttle(AWS_ALLOWANCES)
    assert admitted(throttle, 1_000, 0.0) + admitted(throttle, 1_000, 1.0) == 100
