"""Every rule and every panel asks for metrics and labels that there are."""

import re
from collections.abc import Mapping

import pytest

from tests.ops.metric_labels import all_metrics
from tests.ops.promql import Labels, WrongExpression, labels_of, parse
from tests.ops.shipped import Alert, Recording, Target, alerts, dashboards, rules, targets

KNOWN = all_metrics()

LABEL_VALUES = re.compile(r"label_values\((\w+), (\w+)\)")
LEGEND_LABEL = re.compile(r"{{(\w+)}}")
TEMPLATE_LABEL = re.compile(r"\$labels\.(\w+)")
METRIC = re.compile(r"\bwhisper_fleet_\w+")


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule.name)
def test_a_rule_asks_for_what_there_is(rule: Recording | Alert) -> None:
    assert labels_of(parse(rule.expression), KNOWN) is not None


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_the_words_of_an_alert_name_labels_that_it_has_and_metrics_that_there_are(
    alert: Alert,
) -> None:
    labels = labels_of(parse(alert.expression), KNOWN) or frozenset()
    words = " ".join(alert.annotations.values())

    assert set(TEMPLATE_LABEL.findall(words)) <= labels
    for metric in METRIC.findall(words):
        assert any(name.startswith(metric) for name in KNOWN), metric


@pytest.mark.parametrize("target", targets(), ids=str)
def test_a_panel_asks_for_what_there_is_and_names_its_lines_by_it(target: Target) -> None:
    labels = labels_of(parse(target.expression), KNOWN) or frozenset()

    assert set(LEGEND_LABEL.findall(target.legend)) <= labels


@pytest.mark.parametrize("name", dashboards())
def test_the_choices_of_a_dashboard_are_values_of_labels_that_there_are(name: str) -> None:
    for variable in dashboards()[name]["templating"]["list"]:
        if variable["type"] == "query":
            asked = LABEL_VALUES.fullmatch(variable["query"]["query"])
            assert asked
            metric, label = asked.groups()
            assert label in KNOWN[metric]
            assert label == variable["name"]


METRICS: Mapping[str, Labels] = {
    "jobs": frozenset({"lane", "status"}),
    "slots": frozenset({"lane"}),
    "seconds_bucket": frozenset({"lane", "le"}),
    "total": frozenset(),
}


@pytest.mark.parametrize(
    ("expression", "labels"),
    [
        ("jobs", {"lane", "status"}),
        ("sum by (lane) (rate(jobs[5m]))", {"lane"}),
        ("sum without (status) (jobs)", {"lane"}),
        ("max(jobs)", set()),
        ("sum by (lane) (jobs) / slots", {"lane"}),
        ("jobs * on (lane) group_left () slots", {"lane", "status"}),
        ("jobs / ignoring (status) group_left () slots", {"lane", "status"}),
        ("jobs unless on (lane) slots > 0", {"lane", "status"}),
        ("histogram_quantile(0.5, sum by (lane, le) (rate(seconds_bucket[5m])))", {"lane"}),
        ("slots or vector(0)", {"lane"}),
        ("60 * slots + 1 > 2", {"lane"}),
        ("time() - slots", {"lane"}),
        ("avg_over_time(sum(jobs)[1h:1m])", set()),
        ('jobs{status="running"} offset 1d', {"lane", "status"}),
    ],
)
def test_the_labels_of_a_result_are_known(expression: str, labels: set[str]) -> None:
    assert labels_of(parse(expression), METRICS) == labels


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("job", "no metric job"),
        ('sum(rate(jobs{state="running"}[5m]))', "no label state"),
        ("sum by (profile) (jobs)", "no label profile"),
        ("sum without (profile) (jobs)", "no label profile"),
        ("jobs / slots", r"\['status'\] is on one alone"),
        ("jobs and slots", r"\['status'\] is on one alone"),
        ("jobs unless on (instance) slots", "no label instance"),
        ("histogram_quantile(0.5, sum by (lane) (rate(seconds_bucket[5m])))", "no label le"),
    ],
)
def test_what_cannot_be_there_is_an_error(expression: str, words: str) -> None:
    with pytest.raises(WrongExpression, match=words):
        labels_of(parse(expression), METRICS)
