import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import JsonValue

from daemon.request import (
    BODY_MAX_BYTES,
    DETAIL_MAX_CHARACTERS,
    METADATA_DEPTH_MAX,
    Rejected,
    Request,
    parse,
)
from daemon.schema import SCHEMA_FILE, schema
from neuron_worker.contract import (
    Order,
    Shard,
    Task,
    TimestampLevel,
    TranscriptFormat,
    WorkItem,
)
from tests.malformed import AUDIO, BY_THE_SETTINGS, MALFORMED, SIGNATURE, SIGNED_URL


def test_the_least_request_is_an_audio_location() -> None:
    [request] = parse(json.dumps({"audio": AUDIO}))

    assert request == Request(audio=AUDIO)
    assert request.options().formats == (TranscriptFormat.JSON, TranscriptFormat.TXT)


def test_every_field_of_a_full_request_is_understood() -> None:
    body = {
        "audio": "s3://recordings/2026/café meeting.m4a",
        "request_id": "board-2026-11",
        "audio_version": "3sL4kqtJlcpXroDTDmJ",
        "profile": "tiny.en",
        "language": "en",
        "task": "transcribe",
        "formats": ["srt", "vtt"],
        "timestamps": "word",
        "prompt": "Inferentia, Neuron",
        "hotwords": ["Wetherby", "inf2.xlarge"],
        "condition_on_previous": True,
        "channels": "separate",
        "duration_seconds": 61.5,
        "size_bytes": 1000,
        "priority": -2,
        "deadline": "2026-12-01T08:00:00Z",
        "output": "s3://transcripts/board",
        "metadata": {"customer": 7, "tags": ["a", None]},
    }

    [request] = parse(json.dumps(body))

    assert json.loads(request.model_dump_json()) == body
    assert request.options().timestamps is TimestampLevel.WORD
    assert request.options().task is Task.TRANSCRIBE


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(*case, id=name)
        for name, case in MALFORMED.items()
        if case[1] not in BY_THE_SETTINGS
    ],
)
def test_a_malformed_body_is_rejected_with_its_reason(body: str, reason: str) -> None:
    with pytest.raises(Rejected) as rejection:
        parse(body)

    assert rejection.value.reason == reason
    assert len(rejection.value.detail) > 10, "the detail says nothing"


def test_a_rejection_names_the_field_and_what_was_found() -> None:
    with pytest.raises(Rejected, match=r"duration_seconds: .*number.*'60'"):
        parse(json.dumps({"audio": AUDIO, "duration_seconds": "60"}))


def test_a_body_that_is_too_large_is_not_even_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(body: str) -> None:
        raise AssertionError("it was read")

    monkeypatch.setattr(json, "loads", never)
    with pytest.raises(Rejected, match="send the location of the audio, not the audio"):
        parse(" " * (BODY_MAX_BYTES + 1))


def test_the_largest_request_there_can_be_is_far_from_too_large() -> None:
    body = {
        "audio": "s3://recordings/" + "\N{SPEAKER}" * 256,
        "audio_version": "\N{SPEAKER}" * 1024,
        "output": "s3://transcripts/" + "\N{SPEAKER}" * 256,
        "prompt": "\N{SPEAKER}" * 1000,
        "hotwords": ["\N{SPEAKER}" * 60] * 50,
        "metadata": {"k": "x" * 8000},
    }

    assert parse(json.dumps(body))
    assert len(json.dumps(body)) < BODY_MAX_BYTES / 3


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"audio": SIGNED_URL}),
        json.dumps({"audio": AUDIO, "output": SIGNED_URL}),
        json.dumps({"audio": AUDIO, SIGNED_URL: 1}),
        json.dumps({"audio": AUDIO, "metadata": SIGNED_URL}),
        json.dumps(SIGNED_URL),
        json.dumps({"detail-type": SIGNED_URL}),
    ],
)
def test_a_rejection_never_quotes_a_signature(body: str) -> None:
    with pytest.raises(Rejected) as rejection:
        parse(body)

    assert SIGNATURE not in str(rejection.value)
    assert SIGNATURE not in repr(rejection.value)


def test_a_rejection_is_short_however_much_is_wrong() -> None:
    with pytest.raises(Rejected) as rejection:
        parse(json.dumps({"audio": AUDIO, **{f"{'x' * 100}{n}": n for n in range(1_000)}}))

    assert len(rejection.value.detail) == DETAIL_MAX_CHARACTERS


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=30,
)


@given(
    metadata=st.dictionaries(st.text(max_size=3), NESTED, max_size=3),
    depth=st.integers(0, METADATA_DEPTH_MAX) | st.integers(100, 300),
)
def test_no_request_that_is_taken_makes_its_order_unreadable(
    metadata: dict[str, JsonValue], depth: int
) -> None:
    nested: JsonValue = None
    for _ in range(depth):
        nested = [nested]
    try:
        [request] = parse(json.dumps({"audio": AUDIO, "metadata": {**metadata, "nested": nested}}))
    except Rejected:
        return
    item = WorkItem(
        request_id="r1", audio=request.audio, output="s3://out/", metadata=request.metadata
    )
    order = Order(
        order_id="o1",
        profile="tiny.en",
        lane="xl",
        created_at=datetime(2026, 11, 27, tzinfo=UTC),
        shards=(Shard(items=(item,)),),
    )

    assert Order.model_validate_json(order.to_json()) == order


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: b.decode("latin-1")))
def test_no_body_whatever_raises_anything_but_a_rejection(body: str) -> None:
    try:
        parse(body)
    except Rejected:
        pass


def notification(key: str, **of_object: object) -> str:
    s3 = {"bucket": {"name": "recordings"}, "object": {"key": key, "size": 5, **of_object}}
    record = {"eventSource": "aws:s3", "eventName": "ObjectCreated:Put", "s3": s3}
    return json.dumps({"Records": [record]})


def test_an_s3_notification_names_its_object_with_the_key_decoded() -> None:
    [request] = parse(notification("out/a+b%2B%C3%BC.mp3", eTag="abc"))

    assert request.audio == "s3://recordings/out/a b+ü.mp3"
    assert request.size_bytes == 5


def test_an_eventbridge_event_names_its_object_with_the_key_as_it_is() -> None:
    detail = {"bucket": {"name": "recordings"}, "object": {"key": "out/a+b ü.mp3", "etag": "abc"}}
    body = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail, "id": "x"}

    [request] = parse(json.dumps(body))

    assert request.audio == "s3://recordings/out/a+b ü.mp3"


def test_the_same_object_version_has_the_same_request_id_by_either_event() -> None:
    [by_s3] = parse(notification("a.mp3", eTag="abc"))
    created = {"key": "a.mp3", "etag": "abc", "version-id": "null"}
    detail = {"bucket": {"name": "recordings"}, "object": created}
    [by_bridge] = parse(
        json.dumps({"source": "aws.s3", "detail-type": "Object Created", "detail": detail})
    )
    [changed] = parse(notification("a.mp3", eTag="abd"))

    assert by_s3.request_id == by_bridge.request_id
    assert by_s3.request_id != changed.request_id


def test_a_notification_of_two_objects_makes_two_requests() -> None:
    one, two = json.loads(notification("a.mp3")), json.loads(notification("b.mp3"))

    requests = parse(json.dumps({"Records": one["Records"] + two["Records"]}))

    assert [r.audio for r in requests] == ["s3://recordings/a.mp3", "s3://recordings/b.mp3"]


def test_the_test_event_of_s3_asks_for_nothing() -> None:
    assert parse(json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})) == ()


def test_the_published_schema_is_the_models() -> None:
    assert SCHEMA_FILE.read_text() == schema(), "run: make schema"


def test_the_published_schema_takes_and_refuses_what_the_daemon_does() -> None:
    validator = Draft202012Validator(json.loads(SCHEMA_FILE.read_text()))

    assert validator.is_valid({"audio": AUDIO, "formats": ["srt"], "duration_seconds": 3})
    for wrong in ({}, {"audio": 7}, {"audio": AUDIO, "x": 1}, {"audio": AUDIO, "task": "sing"}):
        assert not validator.is_valid(wrong), wrong
