import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from daemon.cli import app as console
from daemon.simulation import scenario
from daemon.simulation.result import Result
from tests.fleets import ROOT

CONFIG = ["--config", str(ROOT / "config" / "daemon.toml")]
PARAMETERS = ["--parameters", str(ROOT / "config" / "simulation.toml")]


@pytest.fixture(autouse=True)
def _logging_as_before() -> object:
    yield
    structlog.reset_defaults()


def simulate(
    monkeypatch: pytest.MonkeyPatch, out: Path, *options: str, name: str = "poison"
) -> None:
    """Run the console; it ends in SystemExit."""
    given = ["--scenario", name, "--out", str(out), *options]
    for files in (CONFIG, PARAMETERS):
        if files[0] not in options:
            given += files
    monkeypatch.setattr(sys, "argv", ["whisper-fleet", "simulate", *given])
    console.main()


def test_a_simulation_writes_its_result_and_its_plots_and_shows_a_table(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        simulate(monkeypatch, tmp_path / "new", "--requests", "30", "--seed", "5")

    assert not ended.value.code
    told = Result.model_validate_json((tmp_path / "new" / "result.json").read_text())
    assert (told.scenario, told.seed, told.requests) == ("poison", 5, 30)
    assert list(told.policies) == ["fleet", "two-per-chip", "job-per-file", "bound"]
    assert {file.name for file in (tmp_path / "new").glob("*.png")} == {
        "occupancy-fleet.png",
        "occupancy-two-per-chip.png",
        "occupancy-job-per-file.png",
        "backlog-and-fleet.png",
        "cost.png",
    }
    shown = capsys.readouterr()
    assert "30 requests" in shown.out
    assert "cost per audio hour" in shown.out
    assert "30/30 requests" in shown.err


def test_the_same_seed_writes_the_same_bytes_in_any_process(tmp_path: Path) -> None:
    written: list[bytes] = []
    for folder in ("one", "two"):
        options = ["--scenario", "burst-from-zero", "--requests", "25"]
        options += ["--policies", "fleet,two-per-chip"]
        subprocess.run(
            [sys.executable, "-m", "daemon", "simulate", *options, "--out", tmp_path / folder],
            capture_output=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(len(written))},
        )
        written.append((tmp_path / folder / "result.json").read_bytes())

    assert written[0] == written[1]


def test_a_scenario_of_ones_own_and_chosen_policies(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = tmp_path / "mine.toml"
    mine.write_text((scenario.FOLDER / "one-long-file.toml").read_text())

    with pytest.raises(SystemExit):
        simulate(monkeypatch, tmp_path / "out", "--policies", "bound,two-per-chip", name=str(mine))

    told = Result.model_validate_json((tmp_path / "out" / "result.json").read_text())
    assert told.scenario == "mine"
    assert list(told.policies) == ["bound", "two-per-chip"]


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("no-such", [], "no-such: neither a file nor one of archive-dump"),
        ("poison", ["--policies", "fleet,best"], "there is no policy 'best', only fleet"),
        ("poison", ["--policies", ","], "name at least one of fleet"),
        ("poison", ["--parameters", "nowhere.toml"], "nowhere.toml: cannot be read"),
        ("poison", ["--config", "nowhere.toml"], "nowhere.toml: there is no such file"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence_and_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    options: list[str],
    words: str,
) -> None:
    with pytest.raises(SystemExit) as ended:
        simulate(monkeypatch, tmp_path / "out", *options, name=name)

    assert ended.value.code == 1
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = tmp_path / "taken"
    taken.write_text("")

    with pytest.raises(SystemExit):
        simulate(monkeypatch, taken)

    assert "cannot be a folder: File exists" in " ".join(capsys.readouterr().err.split())


def test_help_has_an_example_and_names_every_scenario(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        simulate(monkeypatch, tmp_path, "--help")

    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "Example: whisper-fleet simulate --scenario call-centre" in text
    for name in scenario.shipped():
        assert name in text


def test_the_console_starts_without_what_only_the_simulator_needs() -> None:
    heavy = "{'matplotlib', 'looptime', 'numpy'}"
    code = f"import sys, daemon.cli.app; print({heavy} & set(sys.modules))"

    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )

    assert found.stdout.strip() == "set()"


def test_what_is_not_installed_is_told(tmp_path: Path) -> None:
    code = "import sys; sys.modules['matplotlib'] = None; from daemon.cli import main; main()"
    out = tmp_path / "out"
    told = subprocess.run(
        [sys.executable, "-c", code, "simulate", "--scenario", "poison", "--out", str(out)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )

    assert told.returncode == 1
    assert "error: matplotlib is not installed" in told.stderr
    assert "pip install 'whisper-fleet[simulate]'" in told.stderr
    assert not out.exists()
