from datetime import UTC, datetime

import pytest

from daemon.blame import LOST, end_of_shard
from daemon.ports import JobEnd
from neuron_worker.contract import (
    ExitCode,
    InHand,
    Order,
    Outcome,
    OutcomeKind,
    Reason,
    Shard,
    ShardReport,
    WorkItem,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ITEMS = tuple(
    WorkItem(request_id=name, audio=f"s3://recordings/{name}.wav", output="s3://transcripts/")
    for name in ("done", "in-hand", "next")
)
ORDER = Order(
    order_id="o1", profile="tiny.en", lane="l", created_at=NOW, shards=(Shard(items=ITEMS),)
)
REPORT = ShardReport(
    order_id="o1",
    shard_index=0,
    updated_at=NOW,
    in_hand=(InHand(request_id="in-hand", started_at=NOW),),
    outcomes=(
        Outcome(
            request_id="done",
            order_id="o1",
            shard_index=0,
            kind=OutcomeKind.DONE,
            finished_at=NOW,
        ),
    ),
)


def end(
    code: int | None = None, container: str = "", status: str = "", attempts: int = 1
) -> JobEnd:
    return JobEnd(code, container, status, attempts)


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (end(1), Reason.WORKER_DIED),
        (end(139), Reason.WORKER_DIED),
        (end(), Reason.WORKER_DIED),
        (end(137), Reason.OUT_OF_MEMORY),
        (end(2, "OutOfMemoryError: Container killed due to memory usage"), Reason.OUT_OF_MEMORY),
        (end(137, status="Job attempt duration exceeded timeout"), Reason.TIMED_OUT),
        (end(137, status="Host EC2 (instance i-0a) terminated."), Reason.INTERRUPTED),
        (end(1, status="Host EC2 (instance i-0a) terminated."), Reason.INTERRUPTED),
        (end(None, "CannotPullContainerError: no space left"), Reason.NOT_STARTED),
        (end(127, "CannotStartContainerError: no such device"), Reason.NOT_STARTED),
        (end(None, "ResourceInitializationError: no route to the registry"), Reason.NOT_STARTED),
        (end(status="Task failed to start"), Reason.NOT_STARTED),
        (end(1, status="Task failed to start"), Reason.WORKER_DIED),
        (end(status="MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT", attempts=0), Reason.NOT_STARTED),
        (end(status="CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", attempts=0), Reason.NOT_STARTED),
        (end(status="making room", attempts=0), Reason.INTERRUPTED),
        (end(status="Essential container in task exited"), Reason.WORKER_DIED),
        (end(ExitCode.INTERRUPTED), Reason.INTERRUPTED),
        (end(143), Reason.INTERRUPTED),
        (end(ExitCode.NO_CORE), Reason.NOT_STARTED),
        (end(ExitCode.LEDGER_UNREACHABLE), Reason.INTERRUPTED),
        (end(ExitCode.MISCONFIGURED), Reason.NOT_STARTED),
        (end(ExitCode.ORDER_UNREADABLE), Reason.NOT_STARTED),
        (LOST, Reason.INTERRUPTED),
    ],
    ids=str,
)
def test_the_request_in_hand_is_charged_with_what_ended_the_worker(
    how: JobEnd, reason: Reason
) -> None:
    suspect, neighbour = end_of_shard(ORDER, 0, REPORT, how, NOW)

    assert (suspect.request_id, suspect.reason) == ("in-hand", reason)
    assert (neighbour.request_id, neighbour.kind) == ("next", OutcomeKind.INFRASTRUCTURE)


@pytest.mark.parametrize(
    ("reported", "over", "blamed"),
    [(1, 1, True), (2, 2, True), (1, 2, False), (2, 3, False), (2, 1, True)],
)
def test_what_an_earlier_attempt_had_in_hand_is_not_to_blame_for_the_last_one(
    reported: int, over: int, blamed: bool
) -> None:
    """Batch tried again, and failed before the worker's first word."""
    report = REPORT.model_copy(update={"job_attempt": reported})

    suspect, _ = end_of_shard(ORDER, 0, report, end(139, attempts=over), NOW)

    assert (suspect.reason is Reason.WORKER_DIED) is blamed


def test_with_nothing_in_hand_nobody_is_to_blame() -> None:
    idle = REPORT.model_copy(update={"in_hand": ()})

    outcomes = end_of_shard(ORDER, 0, idle, end(1), NOW)

    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.INFRASTRUCTURE}


def test_a_worker_that_never_reported_leaves_every_request_unbegun() -> None:
    outcomes = end_of_shard(ORDER, 0, None, end(ExitCode.MISCONFIGURED), NOW)

    assert [outcome.reason for outcome in outcomes] == [Reason.NOT_STARTED] * 3
    assert "exit code 78" in outcomes[0].detail


def test_several_in_hand_are_suspected_and_none_is_blamed() -> None:
    both = (*REPORT.in_hand, InHand(request_id="next", started_at=NOW))
    report = REPORT.model_copy(update={"in_hand": both})

    outcomes = end_of_shard(ORDER, 0, report, end(137), NOW)

    assert [outcome.reason for outcome in outcomes] == [Reason.SUSPECTED] * 2
    assert {outcome.kind for outcome in outcomes} == {OutcomeKind.INFRASTRUCTURE}


def test_several_in_hand_are_no_suspects_where_the_machine_went_away() -> None:
    both = (*REPORT.in_hand, InHand(request_id="next", started_at=NOW))
    report = REPORT.model_copy(update={"in_hand": both})

    outcomes = end_of_shard(ORDER, 0, report, LOST, NOW)

    assert [outcome.reason for outcome in outcomes] == [Reason.INTERRUPTED] * 2
