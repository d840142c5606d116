"""Jobs as DescribeJobs and ListJobs show them; times are milliseconds since 1970."""

from typing import Any

from daemon.embedded.batch.arns import Arns
from daemon.embedded.batch.definitions import JobSpec
from daemon.embedded.batch.jobs import ArrayJob, Attempt, Job

Document = dict[str, Any]
"""A part of an answer, in the protocol's own form."""


def milliseconds(seconds: float) -> int:
    """Unix seconds as Batch writes times."""
    return round(seconds * 1_000)


def detail(job: Job | ArrayJob, arns: Arns) -> Document:
    """A JobDetail. `attempts` holds those that are over; `container` shows the latest."""
    spec = job.spec
    document = {
        **_common(job, arns),
        "jobQueue": arns.job_queue(spec.queue),
        "attempts": [],
        "retryStrategy": _retry_strategy(spec),
        "dependsOn": [],
        "parameters": dict(spec.parameters),
        "container": dict(spec.container),
        "tags": job.tags,
        "propagateTags": spec.propagate_tags,
        "platformCapabilities": ["EC2"],
        "isCancelled": job.cancelled,
        "isTerminated": job.terminated,
    }
    if spec.timeout_seconds is not None:
        document["timeout"] = {"attemptDurationSeconds": spec.timeout_seconds}
    if isinstance(job, Job):
        document["attempts"] = [_attempt(attempt, arns) for attempt in job.attempts]
        latest = job.attempt or (job.attempts[-1] if job.attempts else None)
        if latest is not None:
            document["container"] |= _container(latest, arns)
    elif job.summary_at is not None:
        document["arrayProperties"]["statusSummaryLastUpdatedAt"] = milliseconds(job.summary_at)
    return document


def summary(job: Job | ArrayJob, arns: Arns) -> Document:
    """A JobSummary."""
    document = _common(job, arns)
    if isinstance(job, Job) and job.attempts:
        last = job.attempts[-1]
        document["container"] = _without_none(exitCode=last.exit_code, reason=last.reason)
    flags = {"isCancelled": job.cancelled, "isTerminated": job.terminated}
    return document | {name: True for name, value in flags.items() if value}


def _common(job: Job | ArrayJob, arns: Arns) -> Document:
    document: Document = _without_none(
        jobArn=arns.job(job.job_id),
        jobId=job.job_id,
        jobName=job.spec.name,
        status=str(job.state),
        statusReason=job.status_reason,
        createdAt=milliseconds(job.created_at),
        jobDefinition=job.spec.definition.arn,
        **_times(job.started_at if isinstance(job, Job) else None, job.stopped_at),
    )
    if isinstance(job, ArrayJob):
        counts = {str(state): number for state, number in job.summary.items()}
        document["arrayProperties"] = {"size": job.size, "statusSummary": counts}
    elif job.index is not None:
        document["arrayProperties"] = {"index": job.index}
    return document


def _attempt(attempt: Attempt, arns: Arns) -> Document:
    return _without_none(
        container=_container(attempt, arns),
        statusReason=attempt.status_reason,
        **_times(attempt.started_at, attempt.stopped_at),
    )


def _container(attempt: Attempt, arns: Arns) -> Document:
    """What an attempt adds to the container; its log stream has a name from RUNNING on."""
    instance_arn = arns.container_instance(attempt.environment, attempt.instance_id)
    return _without_none(
        containerInstanceArn=instance_arn,
        taskArn=arns.task(attempt.environment, attempt.task_id),
        logStreamName=None if attempt.started_at is None else attempt.log_stream,
        exitCode=attempt.exit_code,
        reason=attempt.reason,
    )


def _retry_strategy(spec: JobSpec) -> Document:
    rules = [
        _without_none(
            onExitCode=rule.on_exit_code,
            onReason=rule.on_reason,
            onStatusReason=rule.on_status_reason,
            action=str(rule.action),
        )
        for rule in spec.retry.rules
    ]
    return {"attempts": spec.retry.attempts, "evaluateOnExit": rules}


def _times(started_at: float | None, stopped_at: float | None) -> Document:
    times = {"startedAt": started_at, "stoppedAt": stopped_at}
    return {name: milliseconds(time) for name, time in times.items() if time is not None}


def _without_none(**members: Any) -> Document:
    return {name: value for name, value in members.items() if value is not None}
