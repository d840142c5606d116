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

ARRAY_SIZE_MAX = 10_000
"""Children of an array job; the least is 2, so a single shard is a plain job.

Source: docs.aws.amazon.com/batch/latest/userguide/array_jobs.html
"""


def attribute_bytes(name: str, value: str) -> int:
    """What a string attribute counts towards that size: its name, its type and its value.

    Source: docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide, "Message metadata"
    """
    return len(name.encode()) + len("String") + len(value.encode())
