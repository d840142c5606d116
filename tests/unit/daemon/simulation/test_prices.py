"""What an hour of audio costs while cores are busy."""

from pathlib import Path

import pytest

from daemon.simulation.parameters import load
from daemon.simulation.prices import dollars_per_audio_hour, table

ROOT = Path(__file__).parents[4]
PARAMETERS = load(ROOT / "config" / "simulation.toml")


def test_an_hour_costs_its_core_seconds() -> None:
    price = dollars_per_audio_hour(PARAMETERS, "inf2.xlarge", "large-v3-turbo", spot=False)
    assert price == pytest.approx(0.7582 / 2 * 20 / 3600)


def test_a_larger_instance_with_one_chip_costs_what_it_costs_more() -> None:
    small, large = (
        dollars_per_audio_hour(PARAMETERS, size, "large-v3", spot=False)
        for size in ("inf2.xlarge", "inf2.8xlarge")
    )
    assert large / small == pytest.approx(1.9679 / 0.7582)


def test_the_readme_has_the_table_that_comes_out() -> None:
    assert "\n".join(table(PARAMETERS)) in (ROOT / "README.md").read_text()
