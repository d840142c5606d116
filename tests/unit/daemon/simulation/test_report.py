from pathlib import Path

import pytest

from daemon.simulation import policies, report
from daemon.simulation.policies import Policy
from daemon.simulation.report import NONE, ROWS, cell, markdown, seconds, summary
from daemon.simulation.result import Result, result
from tests import fleets


@pytest.fixture
def told() -> Result:
    work = fleets.workload([0, 5], [30, 40])
    known = fleets.parameters()
    runs = [
        policies.run(policy, work, known, fleets.settings(), 3)
        for policy in (Policy.TWO_PER_CHIP, Policy.BOUND)
    ]
    return result("tiny", work, known, 3, runs)


def test_a_result_reads_as_it_was_written(told: Result) -> None:
    assert Result.model_validate_json(told.to_json()) == told


def test_the_page_has_a_column_for_each_policy_and_a_row_for_each_figure(told: Result) -> None:
    lines = markdown([told, told]).splitlines()

    assert lines.count("## tiny") == 2
    assert lines.count("| | two-per-chip | bound |") == 2
    first = lines.index("| | two-per-chip | bound |")
    assert [line.count("|") for line in lines[first : first + 2 + len(ROWS)]] == [4] * (
        2 + len(ROWS)
    )
    heading = lines[lines.index("## tiny") + 2]
    assert "2 requests" in heading
    assert "seed 3" in heading


def test_the_page_begins_with_a_row_for_each_result_of_all_policies(told: Result) -> None:
    fleet = {Policy.FLEET: told.policies[Policy.TWO_PER_CHIP]}
    whole = told.model_copy(update={"policies": fleet | dict(told.policies)})
    header, line, *rows = summary([told, whole])

    assert header.count("|") == line.count("|") == rows[0].count("|")
    assert len(rows) == 1, "there is nothing to compare without the fleet"
    assert rows[0].startswith("| tiny, 2 | $")


def test_what_the_bound_does_not_know_is_left_out(told: Result) -> None:
    measures = told.policies[Policy.BOUND]
    shown = {row.name: cell(row, Policy.BOUND, measures) for row in ROWS}

    assert shown["turnaround p95"] == shown["submissions / jobs"] == NONE
    assert shown.keys() > report.FROM_A_RUN


def test_files_become_a_page(
    told: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    file.write_text(told.to_json())

    report.main([str(file)])

    assert capsys.readouterr().out == markdown([told])


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, NONE), (4.4, "4 s"), (119, "119 s"), (150, "2.5 min"), (7_200, "2.0 h")],
)
def test_a_time_has_the_unit_that_a_person_would_use(value: float | None, words: str) -> None:
    assert seconds(value) == words
