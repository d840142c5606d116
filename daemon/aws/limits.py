"""The quotas of AWS that the dispatcher stays within, each with its source."""

QUEUE_BATCH_MAX = 10
"""Messages in one receive or one batch call.

Source: docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
"""

LONG_POLL_MAX_SECONDS = 20
"""Source: as above, WaitTimeSeconds."""

VISIBILITY_MAX_SECONDS = 43_200
"""Twelve hours: of one visibility timeout, and of all extensions since the receive together.

Source: the same reference, API_ChangeMessageVisibility
"""

MESSAGE_BATCH_MAX_BYTES = 1_048_576
"""Of one message, and of a batch together (bodies and attributes).

Source: docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""

DESCRIBE_JOBS_MAX = 100
"""Ids in one DescribeJobs.

Source: docs.aws.amazon.com/batch/latest/APIReference/API_DescribeJobs.html
"""

DESCRIBE_ENVIRONMENTS_MAX = 100
"""Compute environments in one DescribeComputeEnvironments.

Source: docs.aws.amazon.com/batch/latest/APIReference/API_DescribeComputeEnvironments.html
"""

ARRAY_SIZE_MAX = 10_000
"""Children of an array job; the least is 2, so a single shard is a plain job.

Source: docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
"""

SUBMIT_JOB_PER_SECOND_OF_ACCOUNT = 50
"""Calls of SubmitJob per second, of everybody in the account and region together; it is fixed.

Source: docs.aws.amazon.com/batch/latest/userguide/service_limits.html
"""

SUBMIT_JOB_PER_SECOND = SUBMIT_JOB_PER_SECOND_OF_ACCOUNT / 2
"""The daemon's own ceiling: half of the account's, so that others can submit as well."""

DESCRIBE_JOBS_PER_SECOND = 10.0
"""A thousand jobs a second, which is plenty. The quotas name no rate but SubmitJob's, while AWS's
knowledge centre (repost.aws/knowledge-center/aws-batch-requests-error) has 50 calls per second hold
for Batch's API as a whole: so all ceilings of Batch together stay below that.
"""

LIST_JOBS_PER_SECOND = 10.0
"""As above."""

DESCRIBE_COMPUTE_ENVIRONMENTS_PER_SECOND = 1.0
DESCRIBE_REGISTERED_PER_SECOND = 1.0
"""As above; the latter for job definitions and job queues, which are looked at once."""

UPDATE_COMPUTE_ENVIRONMENT_PER_SECOND = 1.0
"""As above. Each call sets an update of the environment going, so it is a rare one."""

S3_READS_PER_SECOND_OF_PREFIX = 5_500
S3_WRITES_PER_SECOND_OF_PREFIX = 3_500
"""What S3 bears at least, per partitioned prefix; a new prefix gets there only by and by.

Source: docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
"""

S3_READS_PER_SECOND = S3_READS_PER_SECOND_OF_PREFIX / 5
S3_WRITES_PER_SECOND = S3_WRITES_PER_SECOND_OF_PREFIX / 5
"""The daemon's own ceilings: the workers read and write under the same prefixes."""

SQS_CALLS_PER_SECOND = 1_000.0
"""Of each call. Standard queues bear "a nearly unlimited number" of them, so this only keeps a loop
gone wild in check.

Source: docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
"""


def attribute_bytes(name: str, value: str) -> int:
    """What a string attribute counts towards that size: its name, its type and its value.

    Source: docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide, "Message metadata"
    """
    return len(name.encode()) + len("String") + len(value.encode())
