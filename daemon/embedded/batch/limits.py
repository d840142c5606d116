"""What AWS Batch allows, by number.

Source of all, unless a constant says otherwise: the AWS Batch user guide
(docs.aws.amazon.com/batch/latest/userguide, service_limits.html) and botocore's model of Batch.
"""

NAME_PATTERN = r"[A-Za-z0-9_-]{1,128}"
"""Names of compute environments, queues and job definitions."""

JOB_NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
"""A job's name: as the others, but the first character is a letter or a digit."""

ARRAY_SIZE_MIN = 2
"""Smallest array job: an array of one is not possible (array_jobs.html)."""

ARRAY_SIZE_MAX = 10_000
"""Largest array job."""

DESCRIBE_MAX = 100
"""Ids, names or ARNs in one Describe call, and entries in one page of its answer."""

LIST_JOBS_PAGE_MAX = 1_000
"""Jobs in one page of ListJobs."""

LIST_JOBS_FILTERED_PAGE_MAX = 100
"""Jobs in one page of ListJobs when it has a filter."""

ATTEMPTS_MAX = 10
"""Most attempts of a retry strategy; the least is 1."""

EVALUATE_ON_EXIT_MAX = 5
"""Most rules of a retry strategy."""

REASON_PATTERN = r"[A-Za-z0-9.:\s]{0,512}\*?"
"""A rule's `onReason` or `onStatusReason`: a `*` may only stand at the end."""

EXIT_CODE_PATTERN = r"[0-9]{0,512}\*?"
"""A rule's `onExitCode`."""

TIMEOUT_MIN_SECONDS = 60
"""Least `attemptDurationSeconds`."""

STOP_GRACE_SECONDS = 30.0
"""From SIGTERM to SIGKILL when a job times out or is terminated (job_timeouts.html)."""

QUEUE_ENVIRONMENTS_MAX = 3
"""Compute environments of one job queue."""

SUBMIT_JOBS_PER_SECOND = 50
"""SubmitJob requests of one account; it is fixed."""

SUBMIT_PAYLOAD_MAX_BYTES = 30 * 1_024
"""Largest SubmitJob request."""

DEFINITION_PAYLOAD_MAX_BYTES = 24 * 1_024
"""Largest RegisterJobDefinition request."""

MEMORY_MIN_MIB = 4
"""Least memory a job may ask for (botocore, ResourceRequirement)."""

RESERVED_ENVIRONMENT_PREFIX = "AWS_BATCH"
"""Environment variables that only Batch sets (botocore, ContainerProperties)."""

STOP_REASON_MAX_CHARACTERS = 1_024
"""Longest `reason` of CancelJob and TerminateJob (botocore)."""

TAGS_MAX = 50
"""Tags on one resource."""

JOB_RETENTION_SECONDS = 7 * 86_400.0
"""How long a finished job can still be described: "at least 7 days" (job_states.html)."""
