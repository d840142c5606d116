"""Writes the reference page of all metrics: `python -m daemon.metrics.reference`."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from daemon.metrics import Metrics
from daemon.metrics.register import Definition, Kind, Label

PAGE_FILE = Path(__file__).parents[2] / "config" / "metrics.md"

INTRODUCTION = """\
# Metrics

Generated from the definitions in `daemon/metrics/` by `make metrics`: do not edit.

The daemon serves them at `/metrics` of its monitor's address (`[monitor]` of `daemon.toml`). All
begin with its process, counters at 0. Two daemons that run at once, as in a rolling deploy, each
tell of what they did and saw: add up counters, take one of gauges of queues and fleets. A histogram
has the series `_bucket`, `_sum` and `_count`.

A stable metric keeps its name, labels and meaning. An experimental one is new and may change.
"""


def page() -> str:
    """The page, in Markdown."""
    definitions = Metrics().definitions
    parts = [INTRODUCTION]
    for group, members in groupby(definitions, key=attrgetter("group")):
        parts.append(f"## {group}\n\n{_table(_metric_rows([*members]))}")
    parts.append(f"## Labels\n\n{_table(_label_rows(definitions))}")
    histograms = [one for one in definitions if one.kind is Kind.HISTOGRAM]
    parts.append(f"## Buckets\n\n{_table(_bucket_rows(histograms))}")
    return "\n".join(parts)


def _metric_rows(definitions: Sequence[Definition]) -> Iterator[tuple[str, ...]]:
    yield "name", "type", "unit", "labels", "stability", "meaning"
    for one in definitions:
        labels = ", ".join(f"`{label.name}`" for label in one.labels)
        yield f"`{one.name}`", one.kind, one.unit, labels, one.stability, one.words


def _label_rows(definitions: Sequence[Definition]) -> Iterator[tuple[str, ...]]:
    """Each label once; where two have the same name, with the metrics of each."""
    yield "label", "meaning", "values"
    users: dict[Label, list[str]] = {}
    for one in definitions:
        for label in one.labels:
            users.setdefault(label, []).append(f"`{one.name}`")
    names = [label.name for label in users]
    for label, metrics in users.items():
        of = f" of {', '.join(metrics)}" if names.count(label.name) > 1 else ""
        values = ", ".join(f"`{value}`" if value else "(empty)" for value in label.values)
        yield f"`{label.name}`{of}", label.words, values


def _bucket_rows(definitions: Sequence[Definition]) -> Iterator[tuple[str, ...]]:
    yield "histogram", "upper bounds"
    for one in definitions:
        bounds = ", ".join(f"{bound:.12g}" for bound in one.buckets)
        yield f"`{one.name}`", f"{bounds}, +Inf"


def _table(rows: Iterator[tuple[str, ...]]) -> str:
    head, *body = rows
    lines = [head, ("---",) * len(head), *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE_FILE.write_text(page(), encoding="utf-8")
