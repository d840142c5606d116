"""What is shipped for operators: rules for Prometheus, dashboards for Grafana."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

CONFIG = Path(__file__).parents[2] / "config"
PROMETHEUS = CONFIG / "prometheus" / "prometheus.yml"
RULES = CONFIG / "prometheus" / "rules"
DASHBOARDS = CONFIG / "grafana"
RULE_TESTS = Path(__file__).parent / "rules"

VARIABLES: Mapping[str, str] = {
    "$__rate_interval": "5m",
    "$__range": "15m",
    "$lane": ".*",
    "$profile": ".*",
}
"""What Grafana puts in place of its variables, where All is chosen."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A rule whose result is a metric of its own."""

    name: str
    expression: str


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule that wakes somebody."""

    name: str
    expression: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """One expression of a panel, its variables replaced, and what its lines are called."""

    dashboard: str
    panel: str
    expression: str
    legend: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel}: {self.legend}"


@cache
def rules() -> tuple[Recording | Alert, ...]:
    """Every rule, the recorded ones first."""
    return tuple(
        Alert(rule["alert"], rule["expr"], rule["labels"], rule["annotations"])
        if "alert" in rule
        else Recording(rule["record"], rule["expr"])
        for name in ("recording.yml", "alerts.yml")
        for group in yaml.safe_load((RULES / name).read_text())["groups"]
        for rule in group["rules"]
    )


def alerts() -> tuple[Alert, ...]:
    """Every alert."""
    return tuple(rule for rule in rules() if isinstance(rule, Alert))


def recordings() -> tuple[Recording, ...]:
    """Every recording rule."""
    return tuple(rule for rule in rules() if isinstance(rule, Recording))


@cache
def dashboards() -> Mapping[str, dict[str, Any]]:
    """The dashboards, by the names of their files."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Its panels; a row is only a heading."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def targets() -> list[Target]:
    """Every expression of every dashboard."""
    return [
        Target(name, panel["title"], with_variables(target["expr"]), target["legendFormat"])
        for name, dashboard in dashboards().items()
        for panel in panels(dashboard)
        for target in panel["targets"]
    ]


def with_variables(expression: str) -> str:
    """The expression as Grafana would send it."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression
