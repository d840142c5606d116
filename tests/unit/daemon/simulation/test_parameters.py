import re
from pathlib import Path

import pytest

from daemon.settings import SettingsError
from daemon.simulation.parameters import Parameters, load
from tests import fleets

SHIPPED = fleets.ROOT / "config" / "simulation.toml"


def test_the_shipped_file_is_valid_and_knows_every_parameter() -> None:
    known = load(SHIPPED)

    assert known.profile("large-v3-turbo").load_seconds > 0
    assert known.dollars_per_hour("inf2.xlarge", spot=False) == 0.7582
    assert known.pace().boot_seconds == known.boot_seconds


def test_every_shipped_parameter_has_a_source_or_says_that_it_has_none() -> None:
    paragraphs = SHIPPED.read_text().split("\n\n")
    with_keys = [text for text in paragraphs if re.search(r"^[\w\"].*=", text, re.MULTILINE)]

    assert len(with_keys) >= 11
    assert [
        text
        for text in with_keys
        if not re.search(r"Source: |UNVERIFIED|SECONDARY|sources are above", text)
    ] == []


def test_spot_costs_its_share() -> None:
    assert fleets.parameters().dollars_per_hour("inf2.8xlarge", spot=True) == 1.0


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("boot_seconds = 150", "boot_seconds: Field required"),
        ("boot_seconds = -1", "boot_seconds: Input should be greater than 0, found -1"),
        ("colour = 3", "colour: Extra inputs are not permitted, found 3"),
        ("price_share = 2", "spot.price_share: Input should be less than or equal to 1, found 2"),
        ("no toml", "is not TOML"),
    ],
)
def test_a_wrong_file_is_told_by_file_and_key(tmp_path: Path, line: str, fault: str) -> None:
    text = SHIPPED.read_text()
    key = line.partition(" =")[0]
    if line == "boot_seconds = 150":
        text = text.replace(line, "")
    elif f"\n{key} = " in text:
        text = re.sub(rf"\n{key} = .*", f"\n{line}", text)
    else:
        text = f"{line}\n{text}"
    path = tmp_path / "mine.toml"
    path.write_text(text)

    with pytest.raises(SettingsError) as raised:
        load(path)

    assert f"{path}: {fault}" in str(raised.value)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read"):
        load(Path("nowhere.toml"))


def test_a_size_without_a_price_is_told() -> None:
    content = fleets.parameters().model_dump()
    del content["instances"]["inf2.48xlarge"]

    with pytest.raises(ValueError, match=r"no price for inf2\.48xlarge"):
        Parameters.model_validate(content)


def test_a_profile_without_a_pace_is_told() -> None:
    with pytest.raises(SettingsError, match=r"profiles\.tiny: not among the parameters"):
        fleets.parameters().profile("tiny")
