"""A real Prometheus scrapes the real daemon, and finds what rules and dashboards ask for."""

from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from math import isnan
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from promql_parser import BinaryExpr, Expr, VectorSelector

from tests.clips import CLIPS
from tests.ops.neuron_monitor import exporter
from tests.ops.prometheus import Prometheus, running_prometheus, tool
from tests.ops.promql import children, operands, parse
from tests.ops.shipped import PROMETHEUS, RULES, Alert, alerts, recordings, rules, targets
from tests.running import Cloud, Daemon, running_cloud, wait_until

PATIENCE_SECONDS = 10.0
"""Recorded metrics come some rounds after what they are made of."""

CHIP = {"instance_id": "i-0123456789abcdef0", "instance_type": "inf2.xlarge"}

CERTAIN = "Certain"
"""What the names of alerts begin with that fire in any case."""

QUIET = {
    "whisper_fleet_aws_throttles_total": "the small cloud throttles nobody",
    "whisper_fleet_lane_bounds_refused_total": "Batch refused no bounds",
    "whisper_fleet_lane_shut": "no lane was shut",
    "whisper_fleet_loop_failures_total": "no round failed",
    "whisper_fleet_requests_retried_total": "no try was made again",
    "whisper_fleet_requests_warned_total": "no transcript had a warning",
}
"""The metrics that nothing is counted under in this run, and why: what asks for them may be empty.
What asks for an earlier time may be empty as well, for Prometheus has just begun.
"""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """With some recordings transcribed, one request given up, and one message rejected."""
    tool("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    budget = {
        "dollars_per_hour_max": 100.0,
        "dollars_per_day_max": 1000.0,
        "keep_warm_seconds": 600.0,
    }
    with (
        running_cloud(tmp_path_factory.mktemp("cloud")) as cloud,
        cloud.daemon(autoscaler=budget) as daemon,
        exporter() as chips_port,
    ):
        config = folder / "prometheus.yml"
        (folder / "certain.yml").write_text(yaml.safe_dump(certain_alerts()))
        lane = cloud.parts.compute_environment
        config.write_text(yaml.safe_dump(local(daemon.url, chips_port, lane)))
        with running_prometheus(config, folder) as server:
            work(cloud, daemon)
            yield server


def certain_alerts() -> dict[str, Any]:
    """Alerts with the same words that fire in any case."""
    certain = [
        {
            "alert": f"{CERTAIN}{alert.name}",
            "expr": "vector(1.5)",
            "annotations": {**alert.annotations},
        }
        for alert in alerts()
    ]
    return {"groups": [{"name": "certain", "rules": certain}]}


def local(daemon_url: str, chips_port: int, lane: str) -> dict[str, Any]:
    """The shipped configuration, but for how targets are found and how often they are asked."""
    document: dict[str, Any] = yaml.safe_load(PROMETHEUS.read_text())
    document["global"] |= {"scrape_interval": "1s", "evaluation_interval": "1s"}
    document["rule_files"] = [str(RULES / "*.yml"), "certain.yml"]
    daemon, chips = document["scrape_configs"]
    del daemon["dns_sd_configs"], chips["ec2_sd_configs"]
    daemon["static_configs"] = [{"targets": [urlsplit(daemon_url).netloc]}]
    found = {f"__meta_ec2_{name}": value for name, value in CHIP.items()}
    chips["static_configs"] = [
        {
            "targets": [f"127.0.0.1:{chips_port}"],
            "labels": {**found, "__meta_ec2_tag_whisper_fleet_lane": lane},
        }
    ]
    return document


def work(cloud: Cloud, daemon: Daemon) -> None:
    """Give the daemon something of everything to count, and of much a second one: a rate is not
    seen before.
    """
    cloud.send({"audio": "s3://recordings/nowhere.wav", "request_id": "lost"})
    cloud.send("no JSON")
    for clips in (CLIPS[:2], CLIPS[2:4]):
        for clip in clips:
            request = {"audio": cloud.put(clip.name, clip.content()), "request_id": clip.name}
            cloud.send(request)
            cloud.send(request)
        for clip in clips:
            cloud.fate(clip.name)
    wait_for(daemon, "whisper_fleet_requests_settled_total", 5)
    wait_for(daemon, "whisper_fleet_messages_rejected_total", 1)
    wait_for(daemon, "whisper_fleet_messages_duplicate_total", 4)
    wait_for(daemon, "whisper_fleet_dead_letters_waiting", 2)


def wait_for(daemon: Daemon, metric: str, value: float) -> None:
    """Until the daemon's metric is that."""
    wait_until(f"{metric} is {value}", lambda: daemon.metric(metric) == value)


def may_be_empty(expression: Expr) -> bool:
    """Whether it asks, in the end, for something quiet or for an earlier time."""
    match expression:
        case VectorSelector():
            made_of = [parse(one.expression) for one in recordings() if one.name == expression.name]
            return (
                expression.name in QUIET
                or expression.offset is not None
                or any(map(may_be_empty, made_of))
            )
        case BinaryExpr() if str(expression.op) == "or":
            return may_be_empty(expression.lhs) and may_be_empty(expression.rhs)
        case BinaryExpr() if str(expression.op) == "unless":
            return may_be_empty(expression.lhs)
        case _:
            return any(map(may_be_empty, children(expression)))


@cache
def parts() -> list[tuple[str, str]]:
    """What is asked of Prometheus, each with its owner: rules and panels as they stand, and of
    alerts what they compare, for those that do not fire are empty by nature.
    """
    return [
        *((rule.name, rule.expression) for rule in recordings()),
        *((str(target), target.expression) for target in targets()),
        *(
            (alert.name, part.prettify())
            for alert in alerts()
            for part in operands(parse(alert.expression))
        ),
    ]


@pytest.mark.parametrize(("owner", "expression"), parts(), ids=[owner for owner, _ in parts()])
def test_what_is_asked_for_is_there(prometheus: Prometheus, owner: str, expression: str) -> None:
    def numbers() -> list[float]:
        found = [float(one["value"][1]) for one in prometheus.query(expression)]
        return [number for number in found if not isnan(number)]

    if may_be_empty(parse(expression)):
        numbers()
    else:
        wait_until(f"there is data for {owner}", numbers, PATIENCE_SECONDS)


@pytest.mark.parametrize("name", QUIET)
def test_what_is_quiet_is_quiet_indeed(prometheus: Prometheus, name: str) -> None:
    assert prometheus.query(name) == []


def test_every_rule_is_evaluated_without_an_error(prometheus: Prometheus) -> None:
    def all_evaluated() -> list[dict[str, Any]]:
        found = [r for group in prometheus.get("rules")["groups"] for r in group["rules"]]
        return [] if any(rule["health"] == "unknown" for rule in found) else found

    evaluated = wait_until("every rule was evaluated", all_evaluated, PATIENCE_SECONDS)

    assert {rule["name"] for rule in evaluated} >= {rule.name for rule in rules()}
    assert not [rule for rule in evaluated if "lastError" in rule]


def firing(prometheus: Prometheus) -> dict[str, list[dict[str, Any]]]:
    """The alerts that fire, by name."""
    found = defaultdict[str, list[dict[str, Any]]](list)
    for one in prometheus.get("alerts")["alerts"]:
        found[one["labels"]["alertname"]].append(one)
    return found


def test_the_first_dead_letter_of_a_reason_fires_and_says_what_to_do(
    prometheus: Prometheus,
) -> None:
    def fired() -> dict[str, dict[str, str]]:
        found = firing(prometheus)["WhisperFleetDeadLetters"]
        told = {one["labels"]["reason"]: one["annotations"] for one in found}
        return told if len(told) == 2 else {}

    told = wait_until("both reasons fire", fired, PATIENCE_SECONDS)

    assert told.keys() == {"missing", "not_json"}
    for reason, annotations in told.items():
        assert f"list --reason {reason}" in annotations["action"]
        assert annotations["summary"].startswith(f"Dead letters because of {reason}: 1 in")


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_the_words_of_an_alert_can_be_filled_in(prometheus: Prometheus, alert: Alert) -> None:
    name = f"{CERTAIN}{alert.name}"
    [fired] = wait_until(f"{name} fires", lambda: firing(prometheus)[name], PATIENCE_SECONDS)

    assert not [words for words in fired["annotations"].values() if "<error" in words]


def test_chips_are_named_as_they_were_discovered(prometheus: Prometheus) -> None:
    found = wait_until(
        "chips are scraped",
        lambda: prometheus.query("neuroncore_utilization_ratio"),
        PATIENCE_SECONDS,
    )

    for one in found:
        assert CHIP.items() <= one["metric"].items()
        assert one["metric"]["lane"]
        assert not [label for label in one["metric"] if label.startswith("exported_")]
