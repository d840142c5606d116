"""What Amazon SQS allows, by number.

GUIDE is docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide, API is the same with
APIReference; botocore is its model of SQS.
"""

VISIBILITY_DEFAULT_SECONDS = 30
"""How long a delivered message is hidden (GUIDE, quotas-messages.html)."""

VISIBILITY_MAX_SECONDS = 43_200
"""Longest visibility timeout, and longest time that a message can stay hidden after one receive,
however often that is extended (GUIDE, quotas-messages.html; API, API_ChangeMessageVisibility)."""

DELAY_MAX_SECONDS = 900
"""Longest delay of a message or a queue (GUIDE, quotas-messages.html)."""

RETENTION_DEFAULT_SECONDS = 345_600
"""How long a message is kept, from its sending: 4 days (GUIDE, quotas-messages.html)."""

RETENTION_MIN_SECONDS = 60
"""Shortest retention (GUIDE, quotas-messages.html)."""

RETENTION_MAX_SECONDS = 1_209_600
"""Longest retention: 14 days (GUIDE, quotas-messages.html)."""

MESSAGE_MAX_BYTES = 1_048_576
"""Largest message, with its attributes, and largest batch of messages (API, API_SendMessage and
API_SendMessageBatch)."""

MESSAGE_LIMIT_MIN_BYTES = 1_024
"""Least value of a queue's MaximumMessageSize (API, API_SetQueueAttributes)."""

IN_FLIGHT_MAX = 120_000
"""About so many messages of a queue can be received and not yet deleted. A short poll is then
refused with OverLimit, a long poll just finds nothing (GUIDE, quotas-queues.html)."""

WAIT_MAX_SECONDS = 20
"""Longest long poll (GUIDE, quotas-queues.html)."""

BATCH_MAX = 10
"""Messages in one receive, entries in one batch call (GUIDE, quotas-messages.html)."""

ENTRY_ID_PATTERN = r"[A-Za-z0-9_-]{1,80}"
"""The id of a batch entry (GUIDE, quotas-messages.html)."""

QUEUE_NAME_PATTERN = r"[A-Za-z0-9_-]{1,80}"
"""The name of a standard queue (GUIDE, quotas-queues.html)."""

FORBIDDEN_CHARACTERS = "[^\u0009\u000a\u000d\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]"
"""Characters that no message may contain (GUIDE, quotas-messages.html)."""

ATTRIBUTES_MAX = 10
"""Attributes of one message (GUIDE, quotas-messages.html)."""

ATTRIBUTE_NAME_PATTERN = r"(?!\.)(?!.*\.\.)(?!(?i:aws|amazon)\.)[A-Za-z0-9_.-]{1,256}(?<!\.)"
"""The name of a message attribute (botocore, ReceiveMessageRequest.MessageAttributeNames)."""

ATTRIBUTE_TYPE_PATTERN = r"(?P<kind>String|Number|Binary)(\..+)?"
"""The data type of a message attribute, with a label of the sender's own after a full stop
(GUIDE, sqs-message-metadata.html)."""

ATTRIBUTE_TYPE_MAX_CHARACTERS = 256
"""Longest data type with its label (GUIDE, sqs-message-metadata.html)."""

GROUP_ID_PATTERN = r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}"
"""MessageGroupId, which a standard queue takes for fair queues (GUIDE, quotas-messages.html)."""

RECEIVES_DEFAULT = 10
"""A redrive policy's maxReceiveCount where none is given (botocore, CreateQueueRequest)."""

RECEIVES_MAX = 1_000
"""Largest maxReceiveCount (GUIDE, sqs-configure-dead-letter-queue.html)."""

ALLOWED_SOURCES_MAX = 10
"""Queues that a RedriveAllowPolicy can name (botocore, CreateQueueRequest)."""

LIST_MAX = 1_000
"""Queues in one page of a list (GUIDE, quotas-queues.html)."""

PURGE_PERIOD_SECONDS = 60
"""A queue can be purged once in this time (API, API_PurgeQueue)."""

NAME_REUSE_SECONDS = 60
"""A deleted queue's name is free again after this time (API, API_DeleteQueue)."""

MOVES_PER_SECOND_MAX = 500
"""Fastest move of dead letters (API, API_StartMessageMoveTask)."""

MOVE_TASKS_LISTED_MAX = 10
"""Move tasks of a queue that are remembered and listed (API, API_ListMessageMoveTasks)."""
