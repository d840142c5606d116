"""How a metric is defined, once: for Prometheus, and for the reference page made from the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import product

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "whisper_fleet"


class Kind(StrEnum):
    """Prometheus's types (prometheus.io/docs/concepts/metric_types)."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Stability(StrEnum):
    """Whether people can build on a metric."""

    STABLE = "stable"
    """Name, labels and meaning stay."""
    EXPERIMENTAL = "experimental"
    """It is new, and may still change."""


EXPERIMENTAL = Stability.EXPERIMENTAL


@dataclass(frozen=True, slots=True)
class Label:
    """A label: what it says, and all its values where they are known beforehand."""

    name: str
    words: str
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Definition:
    """A metric as it is published: `name` as Prometheus sees it, base units."""

    group: str
    name: str
    kind: Kind
    unit: str
    words: str
    labels: tuple[Label, ...]
    stability: Stability
    buckets: tuple[float, ...] = ()


class Register:
    """Makes metrics in a registry, and keeps how each is defined, group by group.

    A counter whose labels have all their values known begins at 0 for each of them: `increase()`
    does not see the first event of a series that begins with it.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.definitions: list[Definition] = []
        self._group = ""

    def begin(self, group: str) -> None:
        """What is defined from now on is about that."""
        self._group = group

    def counter(
        self,
        name: str,
        unit: str,
        words: str,
        *labels: Label,
        stability: Stability = Stability.STABLE,
    ) -> Counter:
        """Define a counter; Prometheus sees it as `<name>_total`."""
        self._define(f"{name}_total", Kind.COUNTER, unit, words, labels, stability)
        names = [label.name for label in labels]
        counter = Counter(f"{PREFIX}_{name}", words, names, registry=self.registry)
        if labels:
            for values in product(*(label.values for label in labels)):
                counter.labels(*values)
        return counter

    def gauge(
        self,
        name: str,
        unit: str,
        words: str,
        *labels: Label,
        stability: Stability = Stability.STABLE,
    ) -> Gauge:
        """Define a gauge."""
        self._define(name, Kind.GAUGE, unit, words, labels, stability)
        names = [label.name for label in labels]
        return Gauge(f"{PREFIX}_{name}", words, names, registry=self.registry)

    def histogram(
        self,
        name: str,
        unit: str,
        words: str,
        *labels: Label,
        buckets: Sequence[float],
        stability: Stability = Stability.STABLE,
    ) -> Histogram:
        """Define a histogram; `buckets` are their upper bounds, infinity left out."""
        self._define(name, Kind.HISTOGRAM, unit, words, labels, stability, buckets)
        names = [label.name for label in labels]
        return Histogram(f"{PREFIX}_{name}", words, names, buckets=buckets, registry=self.registry)

    def _define(
        self,
        name: str,
        kind: Kind,
        unit: str,
        words: str,
        labels: tuple[Label, ...],
        stability: Stability,
        buckets: Sequence[float] = (),
    ) -> None:
        self.definitions.append(
            Definition(
                group=self._group,
                name=f"{PREFIX}_{name}",
                kind=kind,
                unit=unit,
                words=words,
                labels=labels,
                stability=stability,
                buckets=tuple(buckets),
            )
        )
