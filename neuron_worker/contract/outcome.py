"""What became of one request in one order."""

from enum import StrEnum

from pydantic import AwareDatetime, Field

from neuron_worker.contract.document import Document
from neuron_worker.contract.effort import Effort
from neuron_worker.contract.options import TranscriptFormat
from neuron_worker.contract.order import OrderId, RequestId


class OutcomeKind(StrEnum):
    """The class of an outcome: it alone decides how the request is settled.

    `range_done` settles nothing: whoever comes last of a recording's ranges joins them, and is
    `done`.
    """

    DONE = "done"
    RANGE_DONE = "range_done"
    BAD_INPUT = "bad_input"
    TRANSIENT = "transient"
    INFRASTRUCTURE = "infrastructure"
    CRASHED = "crashed"


class Reason(StrEnum):
    """Why a request has no transcript; each belongs to one kind (see `kind`)."""

    MISSING = "missing"
    FORBIDDEN = "forbidden"
    ARCHIVED = "archived"
    EMPTY = "empty"
    NOT_AUDIO = "not_audio"
    NO_AUDIO_STREAM = "no_audio_stream"
    ENCRYPTED = "encrypted"
    TOO_LONG = "too_long"
    DECODER_FAILED = "decoder_failed"
    UNSUPPORTED_OPTION = "unsupported_option"
    RECORD_UNREADABLE = "record_unreadable"
    STORE_REFUSED = "store_refused"
    INTERNAL_ERROR = "internal_error"
    STORE_UNAVAILABLE = "store_unavailable"
    BAD_CREDENTIALS = "bad_credentials"
    INTERRUPTED = "interrupted"
    NOT_STARTED = "not_started"
    SUSPECTED = "suspected"
    GIVEN_UP = "given_up"
    WORKER_DIED = "worker_died"
    OUT_OF_MEMORY = "out_of_memory"
    TIMED_OUT = "timed_out"

    @property
    def kind(self) -> OutcomeKind:
        """The class this reason belongs to."""
        return _KIND_OF[self]


_KIND_OF = {
    Reason.MISSING: OutcomeKind.BAD_INPUT,
    Reason.FORBIDDEN: OutcomeKind.BAD_INPUT,
    Reason.ARCHIVED: OutcomeKind.BAD_INPUT,
    Reason.EMPTY: OutcomeKind.BAD_INPUT,
    Reason.NOT_AUDIO: OutcomeKind.BAD_INPUT,
    Reason.NO_AUDIO_STREAM: OutcomeKind.BAD_INPUT,
    Reason.ENCRYPTED: OutcomeKind.BAD_INPUT,
    Reason.TOO_LONG: OutcomeKind.BAD_INPUT,
    Reason.DECODER_FAILED: OutcomeKind.BAD_INPUT,
    Reason.UNSUPPORTED_OPTION: OutcomeKind.BAD_INPUT,
    Reason.RECORD_UNREADABLE: OutcomeKind.BAD_INPUT,
    Reason.STORE_REFUSED: OutcomeKind.TRANSIENT,
    Reason.INTERNAL_ERROR: OutcomeKind.TRANSIENT,
    Reason.STORE_UNAVAILABLE: OutcomeKind.INFRASTRUCTURE,
    Reason.BAD_CREDENTIALS: OutcomeKind.INFRASTRUCTURE,
    Reason.INTERRUPTED: OutcomeKind.INFRASTRUCTURE,
    Reason.NOT_STARTED: OutcomeKind.INFRASTRUCTURE,
    Reason.SUSPECTED: OutcomeKind.INFRASTRUCTURE,
    Reason.GIVEN_UP: OutcomeKind.INFRASTRUCTURE,
    Reason.WORKER_DIED: OutcomeKind.CRASHED,
    Reason.OUT_OF_MEMORY: OutcomeKind.CRASHED,
    Reason.TIMED_OUT: OutcomeKind.CRASHED,
}


class Outcome(Document):
    """`done` with its transcripts, or a typed failure with words a person can act on.

    Of a range, `audio_seconds` and `speech_seconds` are its own, and 0 if it was done before.
    """

    request_id: RequestId
    order_id: OrderId
    shard_index: int = Field(ge=0)
    kind: OutcomeKind
    reason: Reason | None = None
    detail: str = Field(default="", description="What happened and what to do, for a person.")
    finished_at: AwareDatetime
    transcripts: dict[TranscriptFormat, str] = Field(default_factory=dict)
    audio_seconds: float = Field(default=0.0, ge=0)
    speech_seconds: float = Field(default=0.0, ge=0)
    wall_seconds: float = Field(default=0.0, ge=0)
    language: str | None = None
    warnings: tuple[str, ...] = ()
    effort: Effort | None = Field(
        default=None, description="What it took; None where no worker ended it."
    )
