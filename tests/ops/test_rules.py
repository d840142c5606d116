"""Rules for Prometheus: promtool takes them, alerts fire when they should and say what to do."""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from daemon.cli.app import app
from daemon.settings import Settings
from tests.ops.prometheus import tool
from tests.ops.promql import parse, selectors
from tests.ops.shipped import PROMETHEUS, RULE_TESTS, RULES, Alert, alerts, recordings

ROOT = Path(__file__).parents[2]
SUITES = tuple(sorted(RULE_TESTS.glob("*.yml")))

QUOTED = re.compile(r"`([^`]+)`")
SETTING = re.compile(r"\b([a-z_]+)\.([a-z_]+)\b")
RECORD = re.compile(r"[a-z_]+:[a-z_]+:[a-z0-9_]+")


def promtool(*arguments: str) -> None:
    """Run it; what it finds is why the test fails."""
    done = subprocess.run(
        [tool("promtool"), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_configuration() -> None:
    promtool("check", "config", str(PROMETHEUS))


@pytest.mark.parametrize("name", ["recording.yml", "alerts.yml"])
def test_promtool_has_nothing_to_say_against_the_rules(name: str) -> None:
    promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES / name))


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.stem)
def test_rules_do_what_their_cases_say(suite: Path) -> None:
    promtool("test", "rules", str(suite))


def cases() -> Iterator[tuple[str, bool]]:
    """For each case that looks at an alert: which, and whether it has to fire."""
    for suite in SUITES:
        for test in yaml.safe_load(suite.read_text())["tests"]:
            for case in test["promql_expr_test"]:
                [selector] = selectors(parse(case["expr"]))
                matchers = {one.name: one.value for one in selector.matchers.matchers}
                if selector.name == "ALERTS":
                    assert matchers["alertstate"] == "firing"
                    yield matchers["alertname"], bool(case["exp_samples"])


def test_each_alert_is_shown_to_fire_and_not_to_fire() -> None:
    shown = defaultdict[str, set[bool]](set)
    for name, fires in cases():
        shown[name].add(fires)

    assert shown == {alert.name: {True, False} for alert in alerts()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_an_alert_says_what_is_why_it_matters_and_what_to_do(alert: Alert) -> None:
    assert alert.name.startswith("WhisperFleet")
    assert alert.labels.keys() == {"severity"}
    assert alert.labels["severity"] in {"page", "ticket"}
    assert alert.annotations.keys() == {"summary", "why", "action"}
    assert all(words.endswith(".") for words in alert.annotations.values())
    assert len(alert.annotations["summary"]) <= 160


def test_recorded_names_say_level_metric_and_operations() -> None:
    for rule in recordings():
        assert RECORD.fullmatch(rule.name), rule.name


@cache
def source() -> str:
    """All code of daemon and worker."""
    files = [*(ROOT / "daemon").rglob("*.py"), *(ROOT / "neuron_worker").rglob("*.py")]
    return "\n".join(file.read_text() for file in files)


def is_event(words: str) -> bool:
    """Whether something is logged under that name."""
    return re.search(rf'log\.\w+\(\s*"{words}"', source()) is not None


def is_command(words: str) -> bool:
    """Whether the console takes it: subcommands, options, and anything in their place."""
    command: Any = typer.main.get_command(app)
    _, *rest = words.split()
    while rest and hasattr(command, "commands"):
        command = command.commands.get(rest.pop(0))
    known = {option for parameter in getattr(command, "params", ()) for option in parameter.opts}
    return command is not None and known.issuperset(one for one in rest if one.startswith("--"))


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_what_an_alert_tells_people_to_look_for_is_there(alert: Alert) -> None:
    for words in QUOTED.findall(" ".join(alert.annotations.values())):
        if words.startswith("whisper-fleet "):
            assert is_command(words), words
        else:
            assert is_event(words) or is_command(f"whisper-fleet dead-letters {words}"), words


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_the_settings_that_an_alert_names_are_there(alert: Alert) -> None:
    tables: dict[str, Any] = {
        name: getattr(field.annotation, "model_fields", None)
        for name, field in Settings.model_fields.items()
    }
    for table, key in SETTING.findall(" ".join(alert.annotations.values())):
        if tables.get(table):
            assert key in tables[table], f"{table}.{key}"
