"""What a worker says on the events queue: look here, there is news."""

from typing import Literal

from pydantic import Field

from neuron_worker.contract.document import Document
from neuron_worker.contract.order import OrderId


class Ring(Document):
    """A shard of an order has a new outcome, or has ended; the report in S3 says which."""

    source: Literal["whisper-fleet.worker"]
    order_id: OrderId
    shard_index: int = Field(ge=0)
