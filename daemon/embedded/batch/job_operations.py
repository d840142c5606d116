"""The operations on jobs: submit, describe, list, cancel, terminate.

UNVERIFIED against AWS: which order ListJobs answers in without a filter (here, newest first).
CancelJob and TerminateJob of an unknown job succeed and do nothing, as reported of AWS
(github.com/aws/aws-cli/issues/2551).
"""

from collections.abc import Callable, Iterable, Mapping

from daemon.embedded.batch import limits
from daemon.embedded.batch.definitions import job_spec
from daemon.embedded.batch.descriptions import Document, detail, milliseconds, summary
from daemon.embedded.batch.errors import InvalidRequestError, NotFoundError
from daemon.embedded.batch.jobs import ArrayJob, Job, JobState
from daemon.embedded.batch.model import BatchModel
from daemon.embedded.batch.paging import take_page
from daemon.embedded.batch.resource_operations import bare_name, find_queue
from daemon.embedded.batch.rules import Parameters


def submit_job(model: BatchModel, parameters: Parameters, now_seconds: float) -> Document:
    """SubmitJob, of a plain job or of an array."""
    queue = find_queue(model, parameters["jobQueue"])
    if not queue.enabled:
        problem = f"job queue {queue.name} is DISABLED and takes no new jobs; use another"
        raise InvalidRequestError(operation="SubmitJob", problem=problem)
    definition = model.definitions.resolve(parameters["jobDefinition"])
    spec = job_spec(definition, parameters, queue.name)
    size = parameters.get("arrayProperties", {}).get("size")
    job = model.submit(spec, size, now_seconds)
    job.tags.update(parameters.get("tags", {}))
    return {"jobArn": model.arns.job(job.job_id), "jobName": spec.name, "jobId": job.job_id}


def describe_jobs(model: BatchModel, parameters: Parameters, now_seconds: float) -> Document:
    """DescribeJobs: unknown ids are left out of the answer."""
    found = (model.jobs.find(job_id) for job_id in parameters["jobs"])
    known = (job for job in found if job is not None and model.visible(job, now_seconds))
    return {"jobs": [detail(job, model.arns) for job in known]}


def list_jobs(model: BatchModel, parameters: Parameters, now_seconds: float) -> Document:
    """ListJobs of a queue, without the children of arrays, or of an array's children."""
    filters = parameters.get("filters", [])
    state = JobState(parameters.get("jobStatus", JobState.RUNNING))
    entries: Iterable[tuple[int, Job | ArrayJob]]
    if "arrayJobId" in parameters:
        entries = enumerate(_children(model, parameters["arrayJobId"], now_seconds))
        entries = ((index, child) for index, child in entries if child.state is state)
    else:
        queue = find_queue(model, parameters["jobQueue"])
        if filters:
            keep = _filter(filters[0]["name"], filters[0]["values"])
            entries = _newest_first(model.jobs.of_queue(queue.name))
            entries = ((position, job) for position, job in entries if keep(job))
        else:
            entries = _newest_first(model.jobs.in_state(queue.name, state))
    entries = ((position, job) for position, job in entries if model.visible(job, now_seconds))
    most = limits.LIST_JOBS_FILTERED_PAGE_MAX if filters else limits.LIST_JOBS_PAGE_MAX
    most = min(most, parameters.get("maxResults", most))
    page, next_token = take_page(entries, parameters.get("nextToken"), most, "ListJobs")
    return {"jobSummaryList": [summary(job, model.arns) for job in page], **next_token}


def cancel_job(model: BatchModel, parameters: Parameters, now_seconds: float) -> Document:
    """CancelJob: accepted for a job that is STARTING or RUNNING too, and does nothing to it."""
    model.cancel(parameters["jobId"], parameters["reason"], now_seconds)
    return {}


def terminate_job(model: BatchModel, parameters: Parameters, now_seconds: float) -> Document:
    """TerminateJob."""
    model.terminate(parameters["jobId"], parameters["reason"], now_seconds)
    return {}


def _children(model: BatchModel, job_id: str, now_seconds: float) -> list[Job]:
    parent = model.jobs.find(job_id)
    if not isinstance(parent, ArrayJob) or not model.visible(parent, now_seconds):
        raise NotFoundError(kind="Array job", name=job_id)
    return parent.children


def _newest_first(
    jobs: Mapping[int, Job | ArrayJob],
) -> Iterable[tuple[int, Job | ArrayJob]]:
    return ((-number, jobs[number]) for number in sorted(jobs, reverse=True))


def _filter(name: str, values: list[str]) -> Callable[[Job | ArrayJob], bool]:
    """The filters of ListJobs, as botocore describes them under ListJobsRequest."""
    match name:
        case "JOB_NAME":
            patterns = [value.lower() for value in values]
            return lambda job: _matches(job.spec.name.lower(), patterns)
        case "JOB_DEFINITION":
            return lambda job: (
                job.spec.definition.arn in values
                or _matches(job.spec.definition.name, [bare_name(value) for value in values])
            )
        case "BEFORE_CREATED_AT":
            return lambda job: milliseconds(job.created_at) < max(map(int, values))
        case _:
            return lambda job: milliseconds(job.created_at) > min(map(int, values))


def _matches(text: str, patterns: Iterable[str]) -> bool:
    return any(
        text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern
        for pattern in patterns
    )
