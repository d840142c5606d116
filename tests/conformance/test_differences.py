import ast
from pathlib import Path

import pytest

from tests.conformance.differences import DIFFERENCES
from tests.conformance.emulators import EMULATORS


@pytest.mark.parametrize("other", ["moto", "ministack"])
def test_every_difference_is_of_a_case_that_there_is(other: str) -> None:
    cases = {
        node.name
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef)
    }
    assert {case.partition("[")[0] for case in DIFFERENCES[other]} <= cases


def test_ours_differs_in_nothing() -> None:
    assert set(DIFFERENCES) == set(EMULATORS) - {"embedded"}
