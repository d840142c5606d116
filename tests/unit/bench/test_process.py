"""Engines' processes: real ones, small."""

import os
import sys
from pathlib import Path

import pytest

from tests.bench.process import EngineFailed, run

MIB_OF_CHILD = 200

ENGINE = """
import json, os
measured = {"seconds": 1.5, "peak_mib": 10.0, "text": " cpus %s omp %s " % (
    len(os.sched_getaffinity(0)), os.environ["OMP_NUM_THREADS"])}
print("chatter of a library")
print(json.dumps(measured))
"""

PARENT = f"""
import json, subprocess, sys
child = [sys.executable, "-c", "import time; held = b'x' * ({MIB_OF_CHILD} << 20); time.sleep(1)"]
subprocess.run(child, check=True)
print(json.dumps({{"seconds": 1.0, "peak_mib": 10.0, "text": ""}}))
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_the_last_line_is_the_measurement() -> None:
    measured = run(python(ENGINE), threads=1)

    assert (measured.seconds, measured.peak_mib) == (1.5, 10.0)


@pytest.mark.parametrize("threads", range(1, min(len(os.sched_getaffinity(0)), 2) + 1))
def test_an_engine_is_bound_to_as_many_cpus_as_threads(threads: int) -> None:
    assert run(python(ENGINE), threads).text == f"cpus {threads} omp {threads}"


def test_the_memory_of_an_engines_own_process_counts() -> None:
    measured = run(python(PARENT), threads=1)

    assert MIB_OF_CHILD < measured.peak_mib < MIB_OF_CHILD + 100


def test_a_failed_engine_is_told_by_its_last_words() -> None:
    with pytest.raises(EngineFailed, match=r"exit code 1: no such model$"):
        run(python("raise SystemExit('reading\\nno such model')"), threads=1)


def test_engines_run_as_modules_of_this_checkout() -> None:
    code = "import json, os; print(json.dumps(dict(seconds=0, peak_mib=0, text=os.getcwd())))"

    assert (Path(run(python(code), threads=1).text) / "tests" / "bench").is_dir()
