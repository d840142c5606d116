"""Medians and spreads, as a table and as JSON."""

import json
from pathlib import Path

from tests.bench.report import Circumstances, Failure, Place, Report, Result

TWO = Place("real", 2)
ONE = Place("real", 1)


def result(
    engine: str,
    seconds: float,
    *,
    place: Place = TWO,
    repetition: int = 0,
    peak_mib: float = 700.0,
    word_error_rate: float = 0.0805,
    audio_seconds: float = 600.0,
    only_opening: bool = False,
) -> Result:
    return Result(
        engine,
        place,
        repetition,
        only_opening,
        audio_seconds,
        seconds,
        peak_mib,
        word_error_rate,
        "text",
    )


def report(*results: Result, changed: bool = False) -> Report:
    circumstances = Circumstances(
        started="2026-01-02 03:04 UTC",
        commit="0123456789ab",
        uncommitted_changes=changed,
        cpu="Some CPU",
        cpus=2,
        model="tiny.en",
        weights_sha256="ab" * 32,
        repetitions=3,
    )
    return Report(circumstances, [], list(results))


def lines(report: Report) -> list[str]:
    return report.markdown().splitlines()


def test_a_row_is_the_median_of_its_runs_with_their_spread() -> None:
    told = report(
        result("fast", 12.0, repetition=0, peak_mib=700, word_error_rate=0.09),
        result("fast", 30.0, repetition=1, peak_mib=800, word_error_rate=0.08),
        result("fast", 10.0, repetition=2, peak_mib=900, word_error_rate=0.10),
    )

    assert "| fast | 12.0 (10.0–30.0) | 50.0 | 800 | 9.00 |" in lines(told)


def test_one_run_has_no_spread() -> None:
    assert "| fast | 12.0 | 50.0 | 700 | 8.05 |" in lines(report(result("fast", 12.0)))


def test_a_row_that_heard_the_opening_alone_says_so_and_counts_no_more() -> None:
    told = report(
        result("fast", 12.0),
        result("slow", 24.0, audio_seconds=36.0, only_opening=True),
    )

    assert "| slow, first 36 s only | 24.0 | 1.5 | 700 | 8.05 |" in lines(told)
    assert "## real, 600 s, 2 threads" in lines(told)


def test_files_and_threads_have_tables_of_their_own_in_the_order_of_the_runs() -> None:
    shipped = Place("shipped", 2)
    told = report(
        result("a", 10.0),
        result("b", 20.0),
        result("a", 40.0, place=ONE),
        result("a", 5.0, place=shipped, audio_seconds=500.0),
        result("b", 22.0),
    )

    rows = [line for line in lines(told) if line.startswith(("## ", "| a", "| b"))]
    assert rows == [
        "## real, 600 s, 2 threads",
        "| a | 10.0 | 60.0 | 700 | 8.05 |",
        "| b | 21.0 (20.0–22.0) | 28.6 | 700 | 8.05 |",
        "## real, 600 s, 1 thread",
        "| a | 40.0 | 15.0 | 700 | 8.05 |",
        "## shipped, 500 s, 2 threads",
        "| a | 5.0 | 100.0 | 700 | 8.05 |",
    ]


def test_a_failed_run_stands_in_the_table_with_its_problem() -> None:
    told = report(result("fast", 12.0))
    told.failures.append(Failure("broken", TWO, 0, "exit code 1: no such model"))

    assert "| broken | failed: exit code 1: no such model | | | |" in lines(told)


def test_the_head_says_what_the_numbers_depend_on() -> None:
    clean, changed = report().markdown(), report(changed=True).markdown()

    for fact in ("commit 0123456789ab\n", "Some CPU, 2 CPUs", "tiny.en, weights abababababababab"):
        assert fact in clean
    assert "commit 0123456789ab with uncommitted changes" in changed


def test_what_is_saved_holds_every_run(tmp_path: Path) -> None:
    told = report(result("fast", 12.0), result("fast", 10.0, repetition=1))

    told.save(tmp_path / "new" / "folder")

    saved = json.loads((tmp_path / "new" / "folder" / "results.json").read_text())
    assert [run["seconds"] for run in saved["results"]] == [12.0, 10.0]
    assert saved["results"][0]["place"] == ["real", 2]
    assert saved["circumstances"]["commit"] == "0123456789ab"
    assert (tmp_path / "new" / "folder" / "table.md").read_text() == told.markdown()
