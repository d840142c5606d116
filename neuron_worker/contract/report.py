"""What is known so far: of one shard under way, and of one request across its orders."""

from datetime import datetime
from typing import Self

from pydantic import AwareDatetime, Field, model_validator

from neuron_worker.contract.document import Document
from neuron_worker.contract.order import OrderId, RequestId
from neuron_worker.contract.outcome import Outcome, OutcomeKind


class InHand(Document):
    """A request a worker is working on: one of those to suspect if it dies now."""

    request_id: RequestId
    started_at: AwareDatetime
    seconds_done: float = Field(default=0.0, ge=0)
    audio_seconds: float | None = Field(default=None, description="None until the length is known.")


class ShardReport(Document):
    """A shard's progress: rewritten by its worker after each request and while one is in hand."""

    order_id: OrderId
    shard_index: int = Field(ge=0)
    job_attempt: int = Field(default=1, ge=1, description="AWS_BATCH_JOB_ATTEMPT")
    updated_at: AwareDatetime
    began_at: AwareDatetime | None = Field(default=None, description="When this attempt began.")
    in_hand: tuple[InHand, ...] = ()
    outcomes: tuple[Outcome, ...] = ()


class Record(Document):
    """All that is known of one request: every outcome it has had, oldest first.

    The worker adds `done`; the dispatcher adds failures, so that blame survives its restarts, and
    decides when to give up. Whoever writes does so only over what it has read, so a request that is
    done is never given up, and one that was given up is not done until somebody asks anew.
    """

    request_id: RequestId
    outcomes: tuple[Outcome, ...] = ()
    dead_lettered_at: AwareDatetime | None = Field(
        default=None, description="When it was decided that the request is given up."
    )
    message_ids: tuple[str, ...] = Field(
        default=(), description="The messages that the dead letter stands for."
    )
    letter_sent: bool = Field(default=False, description="Whether the dead letter was sent.")
    rejection: str = Field(
        default="", description="Why its newest message was dead-lettered without any order."
    )

    @model_validator(mode="after")
    def _given_up_for_a_reason(self) -> Self:
        if self.dead_lettered_at is not None and not self.outcomes:
            raise ValueError("given up without any outcome")
        return self

    @property
    def done(self) -> Outcome | None:
        """The outcome that settled the request well, if there is one."""
        return next((o for o in self.outcomes if o.kind is OutcomeKind.DONE), None)

    def given_up_since(self, asked_at: datetime) -> bool:
        """Whether the request was given up after it was asked for: a later message asks anew."""
        return self.dead_lettered_at is not None and asked_at <= self.dead_lettered_at

    @property
    def blamed_attempts(self) -> int:
        """How many tries count against the request: infrastructure's failures do not."""
        innocent = (OutcomeKind.DONE, OutcomeKind.INFRASTRUCTURE)
        return sum(outcome.kind not in innocent for outcome in self.outcomes)
