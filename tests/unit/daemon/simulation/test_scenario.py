from pathlib import Path
from typing import Any

import pytest

from daemon.settings import SettingsError
from daemon.simulation import parameters, scenario
from daemon.simulation.fleet import lanes
from tests import fleets

SHIPPED = [
    "archive-dump",
    "burst-from-zero",
    "call-centre",
    "one-long-file",
    "podcast-library",
    "poison",
    "spot-storm",
    "steady-trickle",
]


def test_the_shipped_scenarios_are_all_there() -> None:
    assert scenario.shipped() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_scenario_fits_the_shipped_parameters(name: str) -> None:
    shipped = scenario.load(name)
    known = parameters.load(fleets.ROOT / "config" / "simulation.toml")

    assert known.profile(shipped.profile)
    assert len(lanes(shipped, known)) == len(shipped.lanes)


def test_the_archive_is_a_million_clips() -> None:
    assert scenario.load("archive-dump").requests == 1_000_000


def test_a_file_of_ones_own_is_as_good(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text((scenario.FOLDER / "poison.toml").read_text())

    assert scenario.load(str(path)) == scenario.load("poison")


def test_neither_file_nor_name_is_told_with_the_names() -> None:
    with pytest.raises(SettingsError, match="neither a file nor one of archive-dump, burst"):
        scenario.load("no-such")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recordings": [{"share": 0.4, "container": "wav", "bytes_per_second": 1,
                          "median_seconds": 1}]}, "must sum to 1"),
        ({"arrivals": {"process": "daily", "seconds": 9, "hourly_weights": [1.0]}}, "24 hours"),
        ({"arrivals": {"process": "daily", "seconds": 9, "hourly_weights": [0.0] * 24}}, "weight"),
        ({"lanes": [{"instance_type": "inf2.tiny", "chips_max": 1}]}, "known are inf2.xlarge"),
        ({"lanes": [{"instance_type": "inf2.24xlarge", "chips_max": 5}]}, "6 chips already"),
        ({"recordings": [{"share": 1, "container": "wav", "bytes_per_second": 1,
                          "median_seconds": 9, "most_seconds": 8}]}, "must lie between"),
    ],
)  # fmt: skip
def test_a_scenario_that_cannot_be_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fleets.scenario(**changes)


def test_a_lane_has_whole_instances_below_its_ceiling() -> None:
    [lane] = fleets.scenario(lanes=[{"instance_type": "inf2.24xlarge", "chips_max": 13}]).lanes

    assert lane.max_vcpus == 2 * 96
