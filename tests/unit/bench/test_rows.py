"""The rows of the benchmark."""

from pathlib import Path

import pytest

from tests.bench.rows import ROWS, chosen

ENGINES = Path(__file__).parents[2] / "bench" / "engines"


def test_every_row_has_a_name_of_its_own_that_can_be_chosen_and_an_engine() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    for row in ROWS:
        assert "," not in row.name
        assert (ENGINES / f"{row.module}.py").is_file(), row.name


def test_rows_are_chosen_by_parts_of_their_names() -> None:
    assert chosen("") == list(ROWS)
    assert [row.name for row in chosen("this worker, openai")] == [
        "this worker float32",
        "this worker int8",
        "openai-whisper",
    ]


def test_a_part_that_no_name_holds_is_refused_with_the_names() -> None:
    with pytest.raises(ValueError, match="public sample's decoding"):
        chosen("kaldi")
