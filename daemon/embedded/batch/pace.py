"""How long things take in the embedded Batch."""

from dataclasses import dataclass

from daemon.embedded.batch.limits import JOB_RETENTION_SECONDS, STOP_GRACE_SECONDS


@dataclass(frozen=True, slots=True)
class Pace:
    """Delays in seconds.

    `evaluate`: from SubmitJob until the scheduler looks at the job. `boot`: from the launch of an
    instance until it takes jobs; minutes in AWS, where the AMI, the agent and the image come up.
    `idle`: how long an instance without a job is kept. `stop_grace`: from SIGTERM to SIGKILL.
    `retention`: how long a finished job can still be described. `visible_after`: from SubmitJob
    until DescribeJobs and ListJobs know the job; AWS's are only eventually consistent with it.
    """

    evaluate_seconds: float = 0.0
    boot_seconds: float = 2.0
    idle_seconds: float = 60.0
    stop_grace_seconds: float = STOP_GRACE_SECONDS
    retention_seconds: float = JOB_RETENTION_SECONDS
    visible_after_seconds: float = 0.0
