"""What the worker container accepts and answers: orders in, reports and outcomes out.

The dispatcher imports this package and nothing else of the worker, so nothing here may import
torch, numpy or an AWS client.
"""

from neuron_worker.contract.document import UnreadableDocument
from neuron_worker.contract.effort import Effort, Stage
from neuron_worker.contract.exit_codes import ExitCode
from neuron_worker.contract.ledger import Ledger, S3Uri
from neuron_worker.contract.options import Channels, Options, Task, TimestampLevel, TranscriptFormat
from neuron_worker.contract.order import Order, Range, Shard, WorkItem
from neuron_worker.contract.outcome import Outcome, OutcomeKind, Reason
from neuron_worker.contract.report import InHand, Record, ShardReport
from neuron_worker.contract.ring import Ring

__all__ = [
    "Channels",
    "Effort",
    "ExitCode",
    "InHand",
    "Ledger",
    "Options",
    "Order",
    "Outcome",
    "OutcomeKind",
    "Range",
    "Reason",
    "Record",
    "Ring",
    "S3Uri",
    "Shard",
    "ShardReport",
    "Stage",
    "Task",
    "TimestampLevel",
    "TranscriptFormat",
    "UnreadableDocument",
    "WorkItem",
]
