"""Blame: when a worker ended early, what became of each request it leaves without an outcome.

Pure. The request in hand when a worker died is the suspect; its neighbours were never begun. Some
ends say that nobody is to blame: the instance was taken away, or the worker could not start.
Reasons are read before exit codes, because Batch reports some out-of-memory kills with another
code than 137. What a report says is in hand counts only for the attempt that wrote it: Batch may
have tried again, and failed before the worker's first word.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.ports import JobEnd
from neuron_worker.contract import ExitCode, Order, Outcome, OutcomeKind, Reason, ShardReport

KILLED_EXIT_CODE = 137
"""128 + SIGKILL; with no reason given, the kernel's out-of-memory killer is the usual sender."""

TERMINATED_EXIT_CODE = 143
"""128 + SIGTERM: stopped from outside before the worker could answer the signal."""

_START_ERRORS = (
    "CannotPull",
    "CannotStart",
    "CannotCreate",
    "CannotInspect",
    "ResourceInitializationError",
    "CgroupError",
)

LOST = JobEnd(exit_code=None, container_reason="", status_reason="Batch does not know the job")
"""The end of a job whose record expired, or that never came to be."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a worker ended: what the request in hand is charged with, and words for a person."""

    matches: Callable[[JobEnd], bool]
    suspect: Reason
    words: str


_CAUSES = (
    Cause(lambda end: end == LOST, Reason.INTERRUPTED, "the job was lost"),
    # Source: docs.aws.amazon.com/batch/latest/userguide/job_timeouts.html
    Cause(
        lambda end: end.status_reason.startswith("Job attempt duration exceeded timeout"),
        Reason.TIMED_OUT,
        "the job ran into its time limit",
    ),
    # Source: nf-core/genomeassembler issue 223: this reason came with exit code 2.
    Cause(
        lambda end: "OutOfMemory" in end.container_reason,
        Reason.OUT_OF_MEMORY,
        "the worker used more memory than its slot has",
    ),
    # Source: docs.aws.amazon.com/batch/latest/userguide/spot_retry_strategy.html
    Cause(
        lambda end: end.status_reason.startswith("Host EC2"),
        Reason.INTERRUPTED,
        "the instance was taken away",
    ),
    # Source: docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
    Cause(
        lambda end: any(code in end.container_reason for code in _START_ERRORS),
        Reason.NOT_STARTED,
        "the container could not be started",
    ),
    # Source: nextflow issue 4096: such a task has neither exit code nor container reason.
    Cause(
        lambda end: end.exit_code is None and end.status_reason.startswith("Task failed to start"),
        Reason.NOT_STARTED,
        "the task could not be started",
    ),
    # Source: docs.aws.amazon.com/batch/latest/userguide/job_stuck_in_runnable.html
    Cause(
        lambda end: (
            end.exit_code is None
            and end.status_reason.startswith(("MISCONFIGURATION:", "CAPACITY:"))
        ),
        Reason.NOT_STARTED,
        "the job found no instance to run on, and its queue's time limit ended it",
    ),
    Cause(
        lambda end: end.exit_code is None and not end.attempts and not end.container_reason,
        Reason.INTERRUPTED,
        "the job was ended before it began",
    ),
    Cause(
        lambda end: end.exit_code == ExitCode.INTERRUPTED,
        Reason.INTERRUPTED,
        "the worker was told to stop",
    ),
    Cause(
        lambda end: end.exit_code == TERMINATED_EXIT_CODE,
        Reason.INTERRUPTED,
        "the job was terminated",
    ),
    Cause(
        lambda end: end.exit_code == ExitCode.NO_CORE,
        Reason.NOT_STARTED,
        "no NeuronCore was free",
    ),
    Cause(
        lambda end: end.exit_code == ExitCode.ORDER_UNREADABLE,
        Reason.NOT_STARTED,
        "the worker could not read its order from the ledger",
    ),
    Cause(
        lambda end: end.exit_code == ExitCode.LEDGER_UNREACHABLE,
        Reason.INTERRUPTED,
        "the worker could not reach the ledger any more",
    ),
    Cause(
        lambda end: end.exit_code == ExitCode.MISCONFIGURED,
        Reason.NOT_STARTED,
        "the worker's settings or model are wrong; its log says which",
    ),
    Cause(
        lambda end: end.exit_code == KILLED_EXIT_CODE,
        Reason.OUT_OF_MEMORY,
        "the worker was killed, most likely for want of memory",
    ),
    Cause(lambda end: True, Reason.WORKER_DIED, "the worker died"),  # noqa: ARG005
)


def cause_of(end: JobEnd) -> Cause:
    """Why a worker ended."""
    return next(cause for cause in _CAUSES if cause.matches(end))


def in_hand(report: ShardReport | None, end: JobEnd) -> set[str]:
    """The requests that the last attempt's worker was working on."""
    if report is None or report.job_attempt < end.attempts:
        return set()
    return {one.request_id for one in report.in_hand}


_DECISIVE = (
    OutcomeKind.DONE,
    OutcomeKind.BAD_INPUT,
    OutcomeKind.CRASHED,
    OutcomeKind.TRANSIENT,
    OutcomeKind.INFRASTRUCTURE,
)
"""Of the outcomes of a recording's ranges, the first of these kinds is that of the recording."""


def is_decided(outcome: Outcome) -> bool:
    """Whether what became of one range says what becomes of the recording, whatever the others."""
    return outcome.kind in (OutcomeKind.DONE, OutcomeKind.BAD_INPUT)


def end_of_ranges(outcomes: Sequence[Outcome]) -> Outcome:
    """What became of a recording, given the outcomes of all of its ranges."""
    decisive = [one for one in outcomes if one.kind in _DECISIVE]
    if decisive:
        return min(decisive, key=lambda one: _DECISIVE.index(one.kind))
    # Each one's worker missed another range: of two that end together, one must see both.
    reason = Reason.INTERRUPTED
    return outcomes[-1].model_copy(
        update={
            "kind": reason.kind,
            "reason": reason,
            "detail": "all ranges were transcribed, but not joined",
        }
    )


def end_of_shard(
    order: Order, shard_index: int, report: ShardReport | None, end: JobEnd, now: datetime
) -> list[Outcome]:
    """Outcomes for the requests of an ended shard that its worker left without one.

    The one in hand is blamed for a crash. Of several nobody knows which it was: they are suspected,
    and each is tried alone, where it can be blamed.
    """
    known = {outcome.request_id for outcome in report.outcomes} if report else set()
    suspects = in_hand(report, end)
    cause = cause_of(end)
    crashed = cause.suspect.kind is OutcomeKind.CRASHED
    charge = Reason.SUSPECTED if crashed and len(suspects) > 1 else cause.suspect
    told = "; ".join(
        filter(
            None,
            [
                "" if end.exit_code is None else f"exit code {end.exit_code}",
                end.container_reason,
                end.status_reason,
            ],
        )
    )
    detail = f"{cause.words} ({told or 'Batch gave no reason'})"
    outcomes = []
    for item in order.shards[shard_index].items:
        if item.request_id in known:
            continue
        suspected = item.request_id in suspects
        reason = charge if suspected else Reason.NOT_STARTED
        outcomes.append(
            Outcome(
                request_id=item.request_id,
                order_id=order.order_id,
                shard_index=shard_index,
                kind=reason.kind,
                reason=reason,
                detail=detail if suspected else f"not begun, or not for long, when {detail}",
                finished_at=now,
            )
        )
    return outcomes
