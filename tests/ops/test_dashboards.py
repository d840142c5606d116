"""Dashboards as Grafana takes them, and as people read them."""

import re
from itertools import combinations
from typing import Any

import pytest

from tests.ops.shipped import dashboards, panels

COLUMNS = 24
"""Of Grafana's grid."""

SCHEMA_VERSION = 39
VARIABLE = re.compile(r"\$\{?(\w+)\}?")
NAMES = tuple(dashboards())


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return (
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )


def test_there_are_dashboards_of_fleet_journey_chips_and_cost() -> None:
    assert NAMES == ("chips", "cost", "fleet", "journey")
    assert len({dashboard["uid"] for dashboard in dashboards().values()}) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_dashboard_says_what_it_is_and_carries_no_trace_of_where_it_was_made(name: str) -> None:
    dashboard = dashboards()[name]

    assert dashboard["title"]
    assert dashboard["description"]
    assert dashboard["schemaVersion"] == SCHEMA_VERSION
    assert not {"id", "version", "iteration", "gnetId"} & dashboard.keys()
    assert not any("id" in panel for panel in dashboard["panels"])


@pytest.mark.parametrize("name", NAMES)
def test_a_panel_has_title_description_unit_and_names_for_its_lines(name: str) -> None:
    for panel in panels(dashboards()[name]):
        assert panel["title"]
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), panel["title"]
        assert all(target["legendFormat"] for target in panel["targets"]), panel["title"]


@pytest.mark.parametrize("name", NAMES)
def test_no_two_panels_of_a_row_are_called_the_same(name: str) -> None:
    row, titles = "", set[tuple[str, str]]()
    for panel in dashboards()[name]["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        else:
            assert (panel["type"], panel["title"]) not in titles, f"{row}: {panel['title']}"
            titles.add((panel["type"], panel["title"]))


@pytest.mark.parametrize("name", NAMES)
def test_panels_lie_within_the_grid_and_not_over_each_other(name: str) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in dashboards()[name]["panels"]]

    for title, place in places:
        assert place["x"] >= 0, title
        assert place["x"] + place["w"] <= COLUMNS, title
    for (one, here), (other, there) in combinations(places, 2):
        assert not overlap(here, there), f"{one} lies over {other}"


@pytest.mark.parametrize("name", NAMES)
def test_what_a_dashboard_lets_people_choose_is_what_its_panels_use(name: str) -> None:
    dashboard = dashboards()[name]
    offered = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = {
        variable
        for panel in panels(dashboard)
        for words in (panel["datasource"]["uid"], *(one["expr"] for one in panel["targets"]))
        for variable in VARIABLE.findall(words)
        if not variable.startswith("__")
    }

    assert used == offered


@pytest.mark.parametrize("name", NAMES)
def test_thresholds_begin_without_a_value_and_rise(name: str) -> None:
    for panel in panels(dashboards()[name]):
        thresholds: dict[str, Any] = panel["fieldConfig"]["defaults"].get("thresholds", {})
        values = [step["value"] for step in thresholds.get("steps", [])]
        if values:
            assert values[0] is None, panel["title"]
            assert values[1:] == sorted(values[1:]), panel["title"]
