"""What every metric keeps to, and what a definition makes of a metric."""

import re

import pytest
from prometheus_client import generate_latest

from daemon.claims import Claim
from daemon.metrics import PREFIX, Metrics
from daemon.metrics.labels import FATE, JOB_STATUS, KIND, REJECT_REASON
from daemon.metrics.register import Definition, Kind, Label, Register
from daemon.ports import JobStatus
from daemon.settle import Fate
from daemon.spend import Spent
from neuron_worker.contract import Order, Record, S3Uri, ShardReport, UnreadableDocument
from neuron_worker.contract.document import Document

DEFINITIONS = Metrics().definitions


@pytest.mark.parametrize("metric", DEFINITIONS, ids=lambda metric: metric.name)
def test_a_metric_keeps_to_the_rules(metric: Definition) -> None:
    assert re.fullmatch(rf"{PREFIX}_[a-z][a-z_]*[a-z]", metric.name)
    assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER)
    assert metric.words.endswith(".")
    for unit in ("seconds", "bytes", "dollars", "vcpus"):
        assert unit in metric.name or unit not in metric.unit.lower().split()
    assert not {"milliseconds", "minutes", "mib", "kib"} & set(metric.name.split("_"))
    names = {label.name for label in metric.labels}
    assert not {name for name in names if name.endswith("_id") or name == "id"}
    assert list(metric.buckets) == sorted(metric.buckets)


def test_what_is_defined_is_what_prometheus_sees() -> None:
    told = generate_latest(Metrics().registry).decode()
    types = dict(re.findall(r"^# TYPE (\S+) (\S+)$", told, re.MULTILINE))
    assert {one.name: one.kind for one in DEFINITIONS} == {
        name: kind for name, kind in types.items() if not name.endswith("_created")
    }
    helps = dict(re.findall(r"^# HELP (\S+) (.+)$", told, re.MULTILINE))
    assert {one.name: one.words for one in DEFINITIONS}.items() <= helps.items()


def test_a_counter_whose_labels_are_known_begins_at_zero() -> None:
    register = Register()
    colour, size = Label("colour", "", ("red", "blue")), Label("size", "", ("s",))
    register.counter("known", "1", "All.", colour, size)
    register.counter("half_known", "1", "Some.", colour, Label("owner", "Anybody."))

    series = {
        (sample.name, *sample.labels.values())
        for family in register.registry.collect()
        for sample in family.samples
        if sample.name.endswith("_total")
    }
    name = f"{PREFIX}_known_total"
    assert series == {(name, "red", "s"), (name, "blue", "s")}


def test_labels_say_what_the_daemon_does() -> None:
    assert set(FATE.values) == set(Fate) - {Fate.RETRY}
    assert set(JOB_STATUS.values) == {one.lower() for one in JobStatus if not one.ended}
    assert "not_json" in REJECT_REASON.values


def test_every_document_of_the_ledger_that_the_daemon_reads_is_a_kind() -> None:
    documents: list[type[Document]] = [Order, Claim, ShardReport, Record, Spent]
    kinds = []
    for document in documents:
        with pytest.raises(UnreadableDocument) as caught:
            document.read(b"nonsense", S3Uri.parse("s3://ledger/document.json"))
        kinds.append(caught.value.kind)
    assert sorted(kinds) == sorted(KIND.values)
