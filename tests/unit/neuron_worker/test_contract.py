import json
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from neuron_worker.contract import (
    Ledger,
    Order,
    Outcome,
    OutcomeKind,
    Reason,
    Record,
    S3Uri,
    Shard,
    TranscriptFormat,
    WorkItem,
)

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


def test_an_unknown_field_in_an_order_is_an_error() -> None:
    document = {"request_id": "r1", "audio": "s3://b-b/a", "output": "s3://b-b/", "langage": "en"}
    with pytest.raises(ValidationError, match="langage"):
        WorkItem.model_validate_json(json.dumps(document))


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
