import json
import tomllib
from pathlib import Path

import pytest

from daemon.settings import Settings, SettingsError, load

CONFIG = Path(__file__).parents[3] / "config"
SHIPPED = CONFIG / "daemon.toml"
CONTAINER = CONFIG / "container.toml"

MINIMAL = """
default_profile = "tiny.en"
[queues]
requests = "http://127.0.0.1/requests"
dead_letters = "http://127.0.0.1/dead"
[locations]
ledger = "s3://ledger/"
output = "s3://transcripts/"
[[lanes]]
name = "xl"
profile = "tiny.en"
instance_type = "inf2.xlarge"
job_queue = "q"
job_definition = "d"
max_vcpus = 4
"""


@pytest.fixture
def minimal(tmp_path: Path) -> Path:
    path = tmp_path / "daemon.toml"
    path.write_text(MINIMAL)
    return path


def test_the_shipped_file_is_valid() -> None:
    assert load(SHIPPED).lanes[0].instance.cores == 2


def test_the_shipped_file_documents_every_setting_with_its_default() -> None:
    bare = SHIPPED.read_text()
    shown = tomllib.loads(
        "\n".join(
            line.removeprefix("# ") if " = " in line and "=http" not in line else line
            for line in bare.splitlines()
        )
    )
    defaults = Settings(**tomllib.loads(MINIMAL)).model_dump(mode="json")
    for name, value in defaults.items():
        assert name in shown, f"{name} is not in the shipped file"
        if isinstance(value, dict) and name not in ("queues", "locations"):
            assert shown[name] == value, f"[{name}] shows other defaults than the code's"
    assert shown["grace_seconds"] == defaults["grace_seconds"]
    assert set(shown["queues"]) == set(defaults["queues"])
    assert set(shown["locations"]) == set(defaults["locations"])
    assert set(shown["lanes"][0]) == set(defaults["lanes"][0])


def test_the_environment_is_above_the_file(minimal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_FLEET_PLANNER__LINGER_SECONDS", "7")
    monkeypatch.setenv("WHISPER_FLEET_QUEUES__REQUESTS", "https://sqs/other")

    settings = load(minimal)

    assert settings.planner.linger_seconds == 7
    assert settings.queues.requests == "https://sqs/other"
    assert settings.queues.dead_letters == "http://127.0.0.1/dead"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("max_vcpus = 4", 'max_vcpus = "many"', "lanes.0.max_vcpus: Input should be a valid int"),
        ("inf2.xlarge", "inf9.tiny", "lanes.0.instance_type: 'inf9.tiny' is not an Inf2"),
        ('ledger = "s3://ledger/"', 'ledger = "/tmp"', "locations.ledger: "),
        ("[queues]", "[queues]\nrequest = 1", "queues.request: Extra inputs"),
        ('requests = "http://127.0.0.1/requests"', "", "queues.requests: Field required"),
        ('default_profile = "tiny.en"', 'default_profile = "big"', "no lane runs it"),
        ("[queues]", "[intake]\nwait_seconds = 21\n[queues]", "wait_seconds: Input should be less"),
        ("[queues]", "[planner]\norder_shards_max = 3\n[queues]", "must be even"),
        ("[queues]", "[planner]\nshard_max_seconds = 60\n[queues]", "shard_min_seconds is above"),
        ("inf2.xlarge", "inf2.8xlarge", "one inf2.8xlarge has 32 vCPUs: none could ever be"),
        ("[queues]", "[autoscaler]\ndollars_per_hour_max = 0.5\n[queues]", "costs 0.7582"),
        ("s3://transcripts/", "s3://ledger/transcripts", "ledger and output overlap"),
        ('ledger = "s3://ledger/"', 'ledger = "s3://transcripts/l"', "ledger and output overlap"),
        ('output = "s3://t', 'input = "s3://transcripts/in"\noutput = "s3://t', "output and input"),
        ("[queues]", '[security]\nallowed_inputs = ["s3://in*"]\n[queues]', "expected s3://bucket"),
        ("[queues]", '[security]\nallowed_inputs = ["s3://t*/*"]\n[queues]', "s3://t*/* overlaps"),
        (
            "[queues]",
            '[security]\nallowed_inputs = ["s3://transcripts/in/*"]\n[queues]',
            "s3://transcripts/in/* overlaps locations.output",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_file_key_and_expectation(
    minimal: Path, old: str, new: str, expected: str
) -> None:
    minimal.write_text(MINIMAL.replace(old, new, 1))

    with pytest.raises(SettingsError) as error:
        load(minimal)

    assert str(minimal) in str(error.value)
    assert expected in str(error.value)


def test_a_wrong_variable_is_named_instead_of_the_file(
    minimal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPER_FLEET_INTAKE__POLLERS", "none")

    with pytest.raises(SettingsError, match=r"WHISPER_FLEET_INTAKE__POLLERS: intake\.pollers"):
        load(minimal)


def test_a_variable_that_holds_a_table_is_named_for_what_is_in_it(
    minimal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHISPER_FLEET_LANES", '[{"name": "xl", "profile": "tiny.en"}]')

    with pytest.raises(SettingsError, match=r"WHISPER_FLEET_LANES: lanes\.0\.job_queue: Field re"):
        load(minimal)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("WHISPER_FLEET_LANES", "xl"),
        ("WHISPER_FLEET_SECURITY__ALLOWED_INPUTS", "s3://recordings/*"),
    ],
)
def test_a_variable_that_is_no_json_is_named(
    minimal: Path, variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsError, match=f"{variable}: is not JSON: Expecting value"):
        load(minimal)


def test_all_but_what_the_image_brings_can_be_said_by_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = tomllib.loads(MINIMAL)
    monkeypatch.setenv("WHISPER_FLEET_DEFAULT_PROFILE", document["default_profile"])
    monkeypatch.setenv("WHISPER_FLEET_LANES", json.dumps(document["lanes"]))
    for table in ("queues", "locations"):
        for key, value in document[table].items():
            monkeypatch.setenv(f"WHISPER_FLEET_{table}__{key}".upper(), value)

    settings = load(CONTAINER)

    assert settings.lanes == Settings(**document).lanes
    assert (settings.monitor.host, settings.monitor.port) == ("0.0.0.0", 9090)


def test_a_missing_and_a_broken_file_are_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: there is no such file"):
        load(tmp_path / "nowhere.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("default_profile =")
    with pytest.raises(SettingsError, match=r"broken\.toml: is not TOML"):
        load(broken)
