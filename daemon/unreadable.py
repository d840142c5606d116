"""What stands in the ledger and cannot be read: told, counted, and left where it is for a person.

It hurts what it is about and nothing else. A report is taken for none: a worker writes it anew. A
record is what says that a request is done or given up, so a request whose record cannot be read is
dead-lettered. A claim is a stranger's until it is old enough to be taken over, and an order's
messages come back by themselves.
"""

import structlog

from daemon.metrics import Metrics
from neuron_worker.contract import UnreadableDocument

log = structlog.get_logger()


def tell_unreadable(error: UnreadableDocument, metrics: Metrics) -> None:
    """Log and count a document that cannot be read."""
    metrics.requests.unreadable.labels(error.kind).inc()
    log.error("document_unreadable", kind=error.kind, uri=str(error.uri), cause=error.cause)
