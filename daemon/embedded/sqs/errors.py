"""Requests that the embedded SQS refuses.

`code` is the error's type on the wire; `query_code` is what clients show, because SQS still sends
the codes of its older protocol in a header. Both, and the statuses, are those of AWS's own model of
SQS (github.com/aws/aws-sdk-go-v2, codegen/sdk-codegen/aws-models/sqs.json, awsQueryError).
"""

from daemon.embedded.refusals import RefusedError


class SqsError(RefusedError):
    """SQS refused the request."""

    query_code = ""

    @classmethod
    def shown_code(cls) -> str:
        """The code as clients show it."""
        return cls.query_code or cls.code


class QueueDoesNotExistError(SqsError):
    """The specified queue does not exist: {queue!r}. Create it first, or correct its name."""

    code = "QueueDoesNotExist"
    query_code = "AWS.SimpleQueueService.NonExistentQueue"


class QueueNameExistsError(SqsError):
    """A queue {name!r} already exists with a different value for {attributes}. Use it as it is,
    change it with SetQueueAttributes, or choose another name.
    """

    code = "QueueNameExists"
    query_code = "QueueAlreadyExists"


class QueueDeletedRecentlyError(SqsError):
    """You must wait 60 seconds after deleting a queue before you can create another with the same
    name: {name!r} was deleted {seconds:.0f} s ago.
    """

    code = "QueueDeletedRecently"
    query_code = "AWS.SimpleQueueService.QueueDeletedRecently"


class InvalidAddressError(SqsError):
    """The address {url!r} is not a queue URL. Take it from CreateQueue or GetQueueUrl."""

    code = "InvalidAddress"
    http_status = 404


class InvalidAttributeNameError(SqsError):
    """Unknown Attribute {name}."""

    code = "InvalidAttributeName"


class InvalidAttributeValueError(SqsError):
    """Invalid value for the parameter {name}. Reason: {problem}."""

    code = "InvalidAttributeValue"


class InvalidParameterError(SqsError):
    """Value {value} for parameter {name} is invalid. Reason: {problem}."""

    code = "InvalidParameterValue"


class MissingParameterError(SqsError):
    """The request must contain the parameter {name}."""

    code = "MissingParameter"


class MalformedRequestError(SqsError):
    """{operation}: {problem}."""

    code = "SerializationException"


class InvalidMessageContentsError(SqsError):
    """Invalid characters found: {character!r} in {where}. Allowed are #x9, #xA, #xD, #x20 to
    #xD7FF, #xE000 to #xFFFD and #x10000 to #x10FFFF.
    """

    code = "InvalidMessageContents"


class ReceiptHandleIsInvalidError(SqsError):
    """The input receipt handle is invalid."""

    code = "ReceiptHandleIsInvalid"
    http_status = 404


class MessageNotInflightError(SqsError):
    """The message is not in flight: its visibility timeout has ended, or it has been received
    again under another receipt handle.
    """

    code = "MessageNotInflight"
    query_code = "AWS.SimpleQueueService.MessageNotInflight"


class OverLimitError(SqsError):
    """Too many messages are in flight: {in_flight} have been received and not deleted. Delete what
    is done before more is received.
    """

    code = "OverLimit"
    http_status = 403


class PurgeQueueInProgressError(SqsError):
    """Only one PurgeQueue operation on {queue} is allowed every 60 seconds."""

    code = "PurgeQueueInProgress"
    query_code = "AWS.SimpleQueueService.PurgeQueueInProgress"
    http_status = 403


class EmptyBatchRequestError(SqsError):
    """There should be at least one {operation}RequestEntry in the request."""

    code = "EmptyBatchRequest"
    query_code = "AWS.SimpleQueueService.EmptyBatchRequest"


class TooManyEntriesError(SqsError):
    """Maximum number of entries per request are 10. You have sent {entries}."""

    code = "TooManyEntriesInBatchRequest"
    query_code = "AWS.SimpleQueueService.TooManyEntriesInBatchRequest"


class BatchEntryIdsNotDistinctError(SqsError):
    """Id {entry_id} repeated."""

    code = "BatchEntryIdsNotDistinct"
    query_code = "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"


class InvalidBatchEntryIdError(SqsError):
    """A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be
    at most 80 letters long: {entry_id!r}.
    """

    code = "InvalidBatchEntryId"
    query_code = "AWS.SimpleQueueService.InvalidBatchEntryId"


class BatchRequestTooLongError(SqsError):
    """Batch requests cannot be longer than {most_bytes} bytes. You have sent {sent_bytes} bytes."""

    code = "BatchRequestTooLong"
    query_code = "AWS.SimpleQueueService.BatchRequestTooLong"


class ResourceNotFoundError(SqsError):
    """The resource that you specified for the {parameter} parameter doesn't exist."""

    code = "ResourceNotFoundException"
    http_status = 404


class UnsupportedOperationError(SqsError):
    """{problem}."""

    code = "UnsupportedOperation"
    query_code = "AWS.SimpleQueueService.UnsupportedOperation"


class NotEmulatedError(SqsError):
    """The embedded SQS does not emulate {what}. {remedy}."""

    code = "NotImplemented"
    http_status = 501


class UnknownOperationError(SqsError):
    """{target!r} is no operation of SQS. Point only SQS clients of the JSON protocol at this
    address.
    """

    code = "UnknownOperationException"
    http_status = 404
