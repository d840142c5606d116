"""The order: one submission to Batch, as its workers read it."""

from datetime import datetime
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, JsonValue, model_validator

from neuron_worker.contract.document import Document
from neuron_worker.contract.ledger import ObjectUri, PrefixUri, S3Uri
from neuron_worker.contract.options import Options, TranscriptFormat

RequestId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$")]
"""Names a request for good: letters, digits, `-`, `_` and `.`, at most 128."""

OrderId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$")]
"""Batch's own rule for a job name, because it is one (botocore's Batch model, SubmitJob)."""


class Range(Document):
    """One of the parts that a long recording is cut into, to be transcribed side by side.

    Part `number` of `count` begins near `number / count` of the recording, where nobody speaks.
    """

    number: int = Field(ge=0)
    count: int = Field(ge=2)

    @model_validator(mode="after")
    def _is_one_of_them(self) -> Self:
        if self.number >= self.count:
            raise ValueError(f"there is no range {self.number} of {self.count}")
        return self


class WorkItem(Document):
    """One request inside an order: all a worker needs to transcribe it, or its range of it."""

    request_id: RequestId
    audio: ObjectUri
    audio_version: str | None = None
    output: PrefixUri
    options: Options = Options()
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    attempt: int = Field(default=1, ge=1, description="1 on the first try; counts blamed tries.")
    range: Range | None = Field(default=None, description="None for the whole recording.")

    def transcript(self, file_format: TranscriptFormat) -> S3Uri:
        """Where the transcript goes: `<output>/<audio key>/<request id>.<format>`.

        The whole audio key keeps same-named files of different folders apart; the request id
        keeps two requests for the same audio apart.
        """
        key = S3Uri.parse(self.audio).key.strip("/")
        return S3Uri.parse(self.output).join(key, f"{self.request_id}.{file_format}")


class Message(Document):
    """The SQS message that owes one request, as the daemon held it when it wrote the order."""

    message_id: str
    receipt_handle: str
    body: str
    received_at: AwareDatetime
    sent_at: AwareDatetime | None = Field(
        default=None, description="When the queue first had it, by the queue's clock."
    )


class Shard(Document):
    """The requests that one single-core job works through, in order."""

    items: tuple[WorkItem, ...] = Field(min_length=1)


class Order(Document):
    """One submission to Batch: shard i is the work of array child i.

    A recording that is cut has an order of its own, with a shard for each of its ranges.
    """

    order_id: OrderId
    profile: str
    lane: str
    created_at: AwareDatetime
    shards: tuple[Shard, ...] = Field(min_length=1)
    messages: dict[RequestId, Message] = Field(default_factory=dict)

    def asked_at(self, request_id: str) -> datetime:
        """When the request's message was taken from the queue."""
        message = self.messages.get(request_id)
        return self.created_at if message is None else message.received_at

    @property
    def is_cut(self) -> bool:
        """Whether its shards are the ranges of one recording."""
        return self.shards[0].items[0].range is not None

    def items(self) -> tuple[WorkItem, ...]:
        """Every request of the order, shard by shard; one that is cut comes once."""
        if self.is_cut:
            return self.shards[0].items
        return tuple(item for shard in self.shards for item in shard.items)
