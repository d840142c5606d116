"""The labels that several metrics share, or whose values stand in an enumeration."""

from daemon.metrics.register import Label
from daemon.ports import JobStatus
from daemon.request import RejectReason
from neuron_worker.contract import OutcomeKind, Reason, Stage

PROFILE = Label("profile", "A model, as the settings name it.")
LANE = Label("lane", "A lane, as the settings name it.")
LOOP = Label("loop", "A loop of the daemon, such as `planner`, `reconcile` or `intake-0`.")
VERSION = Label("version", "The daemon's version.")

REJECT_REASON = Label("reason", "Why a message could not become a request.", tuple(RejectReason))
KNOWN_AS = Label(
    "known_as",
    "Where the first copy of the request is.",
    ("outstanding", "finished", "dead_lettered"),
)
KIND = Label(
    "kind", "What the document should be.", ("order", "claim", "shard report", "record", "spent")
)
FATE = Label("fate", "The request's end.", ("finish", "dead_letter"))
END_REASON = Label("reason", "Why there is no transcript; empty where there is one.", ("", *Reason))
RETRY_REASON = Label(
    "reason",
    "Why the try failed.",
    tuple(reason for reason in Reason if reason.kind is not OutcomeKind.BAD_INPUT),
)
EVENT_SOURCE = Label(
    "source", "Who rang; `other` for what is no event of either.", ("worker", "batch", "other")
)

STAGE = Label(
    "stage",
    "A part of the work: `read` is download, decoding, finding speech and spectrograms; `align` "
    "finds the times of words. Reading and writing run beside the others.",
    tuple(Stage),
)
JOB_STATUS = Label(
    "status",
    "A state of Batch's.",
    tuple(status.lower() for status in JobStatus if not status.ended),
)

SERVICE = Label("service", "A service of AWS: `sqs`, `s3` or `batch`.")
OPERATION = Label("operation", "An operation of the service, such as `ReceiveMessage`.")
