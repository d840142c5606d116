"""A request: one audio object to transcribe, as a producer asks for it.

Three message bodies are understood: our own JSON (`request.schema.json` is generated from
`Request`), an S3 event notification, and an EventBridge `Object Created` event. `parse` turns any
of them into requests, or raises `Rejected` with words for the person who sent it.
"""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Any, Literal
from urllib.parse import unquote_plus

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
)

from neuron_worker.contract import Options, S3Uri
from neuron_worker.contract.ledger import ObjectUri, PrefixUri
from neuron_worker.contract.order import RequestId
from neuron_worker.contract.redaction import redacted

BODY_MAX_BYTES = 256 * 1024
"""Of a whole message. The longest request has a third of it, and SQS allows four times as much."""

RECORDS_MAX = 100
"""Of one S3 notification, each of which becomes a message; S3 itself sends one at a time."""

PRIORITY_MAX = 10

METADATA_MAX_BYTES = 8_192
"""Enough to find one's way back from a transcript; an order carries thousands of these."""

METADATA_DEPTH_MAX = 16
"""An order is nested deeper than its requests, and whoever reads it gives up at 200."""

DETAIL_MAX_CHARACTERS = 1_000
"""Of the words about a rejection, which may quote what was found."""

DURATION_MAX_SECONDS = 7 * 24 * 3600.0
"""No recording that a producer means is longer than a week."""


def _small(metadata: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if _depth(metadata) > METADATA_DEPTH_MAX:
        raise ValueError(f"metadata is nested deeper than {METADATA_DEPTH_MAX} levels")
    # NaN and infinity, which Python reads, are no JSON.
    if len(json.dumps(metadata, allow_nan=False).encode()) > METADATA_MAX_BYTES:
        raise ValueError(f"metadata is longer than {METADATA_MAX_BYTES} bytes as JSON")
    return metadata


def _depth(value: JsonValue) -> int:
    """How many lists and objects stand inside one another."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, (dict, list))]:
        depth += 1
        level = [
            inner for one in level for inner in (one.values() if isinstance(one, dict) else one)
        ]
    return depth


@dataclass(frozen=True, slots=True)
class Hints:
    """What is known of a recording before anybody has heard it."""

    container: str = ""
    size_bytes: int | None = None
    duration_seconds: float | None = None


class Request(Options):
    """One audio object to transcribe, with its options."""

    model_config = ConfigDict(title="whisper-fleet request", strict=True)

    audio: ObjectUri = Field(
        description="The recording: any container and codec that FFmpeg reads.",
        examples=["s3://recordings/2026/board-meeting.m4a"],
    )
    request_id: RequestId | None = Field(
        default=None,
        description="Names the request for good; sent twice, it is done once. Default: derived "
        "from audio, version and options where audio_version is given, else the SQS message id.",
    )
    audio_version: str | None = Field(
        default=None, max_length=1024, description="S3 version id of the audio object."
    )
    profile: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        description="The model to use, by its name in the daemon's settings.",
    )
    duration_seconds: float | None = Field(
        default=None,
        gt=0,
        le=DURATION_MAX_SECONDS,
        description="A hint for planning; the true length is measured.",
    )
    size_bytes: int | None = Field(
        default=None, ge=0, description="Size of the object, for planning without a hint."
    )
    priority: int = Field(
        default=0,
        ge=-PRIORITY_MAX,
        le=PRIORITY_MAX,
        description="Higher ones go first among those that wait for a slot; waiting raises them.",
    )
    deadline: AwareDatetime | None = Field(
        default=None,
        description="When the transcript is wanted: as it comes near, the request waits for no "
        "company and goes before all others. It is done all the same when that is too late.",
        examples=["2026-12-01T08:00:00Z"],
    )
    output: PrefixUri | None = Field(
        default=None,
        description="Transcripts go to <output>/<audio key>/<request id>.<format>. Default: the "
        "daemon's output location.",
    )
    metadata: Annotated[dict[str, JsonValue], AfterValidator(_small)] = Field(
        default_factory=dict, description="Echoed into the JSON transcript."
    )

    def options(self) -> Options:
        """The part of the request that shapes its transcript."""
        return Options.model_construct(
            **{name: getattr(self, name) for name in Options.model_fields}
        )

    def hints(self) -> Hints:
        """What it says of the recording's length."""
        name = S3Uri.parse(self.audio).key.rpartition("/")[2]
        container = name.rpartition(".")[2].lower() if "." in name else ""
        return Hints(container, self.size_bytes, self.duration_seconds)

    def content_id(self) -> str | None:
        """An id for a request that has none of its own: the same object version, wanted in the
        same way, has the same one. None without a version, for the object may have changed."""
        if self.audio_version is None:
            return None
        unlike = {"request_id", "duration_seconds", "size_bytes", "priority", "deadline"}
        wanted = self.model_dump(mode="json", exclude=unlike)
        content = json.dumps(wanted, sort_keys=True).encode()
        return f"v-{hashlib.sha256(content).hexdigest()[:32]}"


class RejectReason(StrEnum):
    """Why a message can never become a request."""

    TOO_LARGE = "too_large"
    NOT_JSON = "not_json"
    NOT_A_REQUEST = "not_a_request"
    INVALID_FIELD = "invalid_field"
    UNSUPPORTED_EVENT = "unsupported_event"
    UNKNOWN_PROFILE = "unknown_profile"
    LOCATION_NOT_ALLOWED = "location_not_allowed"
    CONFLICTING_ID = "conflicting_request_id"
    RECORD_UNREADABLE = "record_unreadable"


class Rejected(Exception):
    """The message cannot become a request: {detail}

    `request_id` is given when the request is otherwise sound and the id is its own. The detail
    holds no secret, whatever it quotes.
    """

    def __init__(self, reason: RejectReason, detail: str, request_id: str | None = None) -> None:
        detail = redacted(detail)[:DETAIL_MAX_CHARACTERS]
        super().__init__(reason, detail, request_id)
        self.reason = reason
        self.detail = detail
        self.request_id = request_id

    def __str__(self) -> str:
        return f"The message cannot become a request: {self.detail}"


class _Event(BaseModel):
    """Somebody else's document: read what we need, let the rest be."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class _Bucket(_Event):
    name: str


class _NotifiedObject(_Event):
    key: str
    size: int | None = Field(default=None, ge=0)
    etag: str | None = Field(default=None, alias="eTag")
    version_id: str | None = Field(default=None, alias="versionId")


class _NotifiedS3(_Event):
    bucket: _Bucket
    object: _NotifiedObject


class _Notification(_Event):
    source: Literal["aws:s3"] = Field(alias="eventSource")
    name: str = Field(alias="eventName")
    s3: _NotifiedS3


class _Notifications(_Event):
    records: tuple[_Notification, ...] = Field(
        alias="Records", min_length=1, max_length=RECORDS_MAX
    )


class _BridgedObject(_Event):
    key: str
    size: int | None = Field(default=None, ge=0)
    etag: str | None = None
    version_id: str | None = Field(default=None, alias="version-id")


class _BridgedDetail(_Event):
    bucket: _Bucket
    object: _BridgedObject


class _Bridged(_Event):
    source: Literal["aws.s3"]
    detail: _BridgedDetail


def parse(body: str) -> tuple[Request, ...]:
    """The requests in one message body; none for S3's own test message.

    Only an S3 notification may hold several. Raises `Rejected` for anything that is no request.
    """
    size_bytes = len(body.encode(errors="surrogatepass"))
    if size_bytes > BODY_MAX_BYTES:
        raise Rejected(
            RejectReason.TOO_LARGE,
            f"the body has {size_bytes:,} bytes, and no request needs more than "
            f"{BODY_MAX_BYTES:,}: send the location of the audio, not the audio",
        )
    try:
        document = json.loads(body)
    except RecursionError as error:
        raise Rejected(RejectReason.NOT_JSON, "the body is nested too deeply") from error
    except ValueError as error:
        raise Rejected(RejectReason.NOT_JSON, f"the body is not JSON ({error})") from error
    if not isinstance(document, dict):
        raise Rejected(
            RejectReason.NOT_A_REQUEST,
            f"the body is a JSON {type(document).__name__}, expected an object",
        )
    try:
        if "Records" in document:
            return _from_notifications(_Notifications.model_validate(document))
        if document.get("Event") == "s3:TestEvent":
            return ()
        if "detail-type" in document:
            return (_from_bridge(document),)
        # An operator's pretty-printed or a producer's bare JSON: strict, but as JSON is typed.
        return (Request.model_validate_json(body),)
    except ValidationError as error:
        raise Rejected(RejectReason.INVALID_FIELD, explain(error)) from error


def explain(error: ValidationError) -> str:
    """A validation error as one line: each wrong field, what was expected, what was found."""
    parts = []
    for fault in error.errors(include_url=False):
        where = ".".join(str(step) for step in fault["loc"]) or "the body"
        found = "" if fault["type"] == "missing" else f" (found {_shown(fault['input'])})"
        parts.append(f"{where}: {fault['msg']}{found}")
    return "; ".join(parts)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _from_notifications(event: _Notifications) -> tuple[Request, ...]:
    for record in event.records:
        if not record.name.startswith("ObjectCreated:"):
            raise Rejected(
                RejectReason.UNSUPPORTED_EVENT,
                f"the S3 event is {record.name!r}, only ObjectCreated events ask for a transcript",
            )
    return tuple(
        _created(
            # S3 encodes keys in notifications as in a form: a blank is "+".
            S3Uri(record.s3.bucket.name, unquote_plus(record.s3.object.key)),
            record.s3.object.version_id,
            record.s3.object.etag,
            record.s3.object.size,
        )
        for record in event.records
    )


def _from_bridge(document: dict[str, Any]) -> Request:
    if document["detail-type"] != "Object Created":
        raise Rejected(
            RejectReason.UNSUPPORTED_EVENT,
            f"the event is {document['detail-type']!r}, only 'Object Created' asks for a "
            "transcript",
        )
    created = _Bridged.model_validate(document).detail
    return _created(
        S3Uri(created.bucket.name, created.object.key),
        created.object.version_id,
        created.object.etag,
        created.object.size,
    )


def _created(uri: S3Uri, version: str | None, etag: str | None, size: int | None) -> Request:
    """The request for a new object; the same object version always has the same request id."""
    # Buckets without versioning say "null" in some events and nothing in others.
    version = None if version in (None, "", "null") else version
    identity = "\n".join([str(uri), version or "", (etag or "").strip('"')])
    digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
    return Request(
        audio=str(uri), audio_version=version, request_id=f"s3-{digest}", size_bytes=size
    )
