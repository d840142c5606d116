"""Run an engine in a process of its own, on as many CPUs as it may use threads."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout: engines run as modules from here."""

RUN_MAX_SECONDS = 3_600.0
"""An engine that takes longer hangs: the slowest takes minutes."""

LOOK_PERIOD_SECONDS = 0.2
"""How often the memory of an engine's own children is read."""

KIB_PER_MIB = 1_024


class EngineFailed(Exception):
    """An engine ended without a result; the last line that it said tells why."""

    def __init__(self, code: int, said: str) -> None:
        last = said.strip().splitlines()[-1:] or ["it said nothing"]
        super().__init__(f"exit code {code}: {last[0]}")


@dataclass(frozen=True, slots=True)
class Measurement:
    """`peak_mib` is the engine's peak and, on top, that of the processes it started itself."""

    seconds: float
    peak_mib: float
    text: str


def run(command: list[str], threads: int) -> Measurement:
    """Run an engine and read its last line (see `engines.engine.measure`).

    It is bound to the first `threads` CPUs, so that no hidden thread works beside the counted
    ones. Raises EngineFailed.
    """
    cpus = sorted(os.sched_getaffinity(0))[:threads]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cpus),
    )
    with process:
        try:
            stdout, stderr, children_mib = _watch(process)
        finally:
            process.kill()
    if process.returncode != 0:
        raise EngineFailed(process.returncode, stderr)
    measured = json.loads(stdout.strip().splitlines()[-1])
    return Measurement(
        measured["seconds"], measured["peak_mib"] + children_mib, measured["text"].strip()
    )


def _watch(process: subprocess.Popen[str]) -> tuple[str, str, float]:
    children_mib = 0.0
    deadline = time.monotonic() + RUN_MAX_SECONDS
    while time.monotonic() < deadline:
        try:
            stdout, stderr = process.communicate(timeout=LOOK_PERIOD_SECONDS)
        except subprocess.TimeoutExpired:
            peaks = [_peak_mib(child) for child in _descendants(process.pid)]
            children_mib = max(children_mib, sum(peaks))
        else:
            return stdout, stderr, children_mib
    raise EngineFailed(-1, f"it was not done after {RUN_MAX_SECONDS:g} s")


def _descendants(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in _read(task).split():
            yield int(child)
            yield from _descendants(int(child))


def _peak_mib(pid: int) -> float:
    for line in _read(Path(f"/proc/{pid}/status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / KIB_PER_MIB
    return 0.0


def _read(file: Path) -> str:
    """What a process that may have ended says of itself."""
    try:
        return file.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
