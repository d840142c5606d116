import json
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from neuron_worker.contract import (
    Effort,
    InHand,
    Ledger,
    Options,
    Order,
    Outcome,
    OutcomeKind,
    Range,
    Reason,
    Record,
    Ring,
    S3Uri,
    Shard,
    ShardReport,
    TranscriptFormat,
    UnreadableDocument,
    WorkItem,
)
from neuron_worker.contract.document import Document
from neuron_worker.contract.order import Message
from neuron_worker.progress import Progress, RangeDone, WindowDone
from neuron_worker.ranges import Cut
from neuron_worker.transcript import Segment

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def item(name: str = "r1", audio: str = "s3://recordings/a/b.mp3", **more: object) -> WorkItem:
    return WorkItem(request_id=name, audio=audio, output="s3://out/team", **more)


def test_a_location_reads_back_as_it_was_written() -> None:
    assert str(S3Uri.parse("s3://bucket/a b/ü?#.wav")) == "s3://bucket/a b/ü?#.wav"


@pytest.mark.parametrize(
    "text",
    ["", "a.wav", "http://b/k", "s3://b/k", "s3://UP/k", "s3://bucket", "s3://bucket/a/../b"],
)
def test_what_is_no_location_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w+"):
        S3Uri.parse(text)


@given(st.text(max_size=40))
def test_parsing_raises_nothing_but_value_errors(text: str) -> None:
    try:
        S3Uri.parse(f"s3://bucket/{text}")
    except ValueError:
        pass


@pytest.mark.parametrize("root", ["s3://ledger/", "s3://ledger/team/a", "s3://ledger/team/a/"])
def test_a_worker_finds_the_ledger_from_its_order(root: str) -> None:
    ledger = Ledger(S3Uri.parse(root))

    found = Ledger.holding(ledger.open_order("o1"))

    assert found.report("o1", 3) == ledger.report("o1", 3)
    assert found.record("r1") == ledger.record("r1")
    assert ledger.report("o1", 3).key.startswith(ledger.reports("o1").key)
    assert ledger.open_order("o1").key.startswith(ledger.open_orders().key)


def test_transcripts_of_other_folders_formats_and_requests_never_meet() -> None:
    items = [item("r1"), item("r2"), item("r1", "s3://recordings/c/b.mp3")]

    places = {str(i.transcript(f)) for i in items for f in TranscriptFormat}

    assert len(places) == 3 * len(TranscriptFormat)
    assert str(items[0].transcript(TranscriptFormat.SRT)) == "s3://out/team/a/b.mp3/r1.srt"


def test_an_order_reads_back_as_it_was_written() -> None:
    order = Order(
        order_id="o1",
        profile="tiny.en",
        lane="xl",
        created_at=NOW,
        shards=(Shard(items=(item(metadata={"k": [1, None]}),)), Shard(items=(item("r2"),))),
    )

    assert Order.model_validate_json(order.to_json()) == order


def test_a_slip_in_a_document_that_is_written_is_an_error() -> None:
    with pytest.raises(ValidationError, match="langage"):
        WorkItem.model_validate(item().model_dump() | {"langage": "en"})
    with pytest.raises(ValidationError, match="wall_second"):
        outcome(wall_second=1.0)


def with_news(value: Any) -> Any:
    """The same JSON with a field that nobody knows in every object of it."""
    if isinstance(value, list):
        return [with_news(one) for one in value]
    if isinstance(value, dict):
        return {name: with_news(one) for name, one in value.items()} | {"news": {"is": [1]}}
    return value


def whole_order() -> Order:
    message = Message(message_id="m", receipt_handle="h", body="{}", received_at=NOW, sent_at=NOW)
    some = item(range=Range(number=1, count=2), options=Options(language="de"))
    return Order(
        order_id="o1",
        profile="tiny.en",
        lane="xl",
        created_at=NOW,
        shards=(Shard(items=(some,)), Shard(items=(some,))),
        messages={"r1": message},
    )


def outcome(**more: Any) -> Outcome:
    return Outcome(
        request_id="r1",
        order_id="o1",
        shard_index=0,
        kind=OutcomeKind.DONE,
        finished_at=NOW,
        effort=Effort(read_seconds=1.5, windows=3),
        **more,
    )


DOCUMENTS: list[Document] = [
    whole_order(),
    outcome(),
    Record(request_id="r1", outcomes=(outcome(),)),
    ShardReport(
        order_id="o1",
        shard_index=0,
        updated_at=NOW,
        in_hand=(InHand(request_id="r2", started_at=NOW),),
        outcomes=(outcome(),),
    ),
    Ring(source="whisper-fleet.worker", order_id="o1", shard_index=0),
    Cut(fingerprint="f", end_seconds=2.0, start_seconds=1.0),
    Progress(
        request_id="r1",
        fingerprint="f",
        windows=(
            WindowDone(
                track=0,
                index=0,
                start_seconds=0.0,
                end_seconds=2.0,
                segments=(Segment(0.0, 2.0, "Hello.", -0.2, 0.1),),
            ),
        ),
        range_done=RangeDone(start_seconds=0.0, end_seconds=2.0, speech_seconds=1.0, tracks=1),
    ),
]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: type(one).__name__)
def test_what_a_newer_version_adds_at_any_depth_is_not_read(document: Document) -> None:
    content = json.loads(document.to_json())
    if isinstance(document, Order):
        # By request id, not by field.
        messages = {name: with_news(one) for name, one in content.pop("messages").items()}
        content = with_news(content) | {"messages": messages}
    else:
        content = with_news(content)
    assert b"news" not in document.to_json()

    found = type(document).read(json.dumps(content).encode(), S3Uri.parse("s3://ledger/d.json"))

    assert found == document


def test_what_is_missing_or_of_another_kind_is_unreadable_all_the_same() -> None:
    uri = S3Uri.parse("s3://ledger/d.json")
    for content in (b'{"news": 1}', b'{"request_id": 7, "news": 1}', b"[]", b"{"):
        with pytest.raises(UnreadableDocument, match="is not a record"):
            Record.read(content, uri)


def test_a_record_counts_only_tries_that_blame_the_request() -> None:
    reasons = [Reason.INTERRUPTED, Reason.WORKER_DIED, Reason.STORE_REFUSED, None]
    outcomes = tuple(
        Outcome(
            request_id="r1",
            order_id=f"o{number}",
            shard_index=0,
            kind=reason.kind if reason else OutcomeKind.DONE,
            reason=reason,
            finished_at=NOW,
        )
        for number, reason in enumerate(reasons)
    )

    record = Record(request_id="r1", outcomes=outcomes)

    assert record.blamed_attempts == 2
    assert record.done == outcomes[-1]


def test_the_contract_needs_neither_torch_nor_an_aws_client() -> None:
    heavy = "{'torch', 'numpy', 'boto3', 'botocore', 'av', 'transformers'}"
    code = f"import sys, neuron_worker.contract; print({heavy} & set(sys.modules))"

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert found.stdout.strip() == "set()"
