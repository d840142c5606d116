"""`make bench-dispatch`: what it takes to bring requests from the queue to Batch and to their end.

The daemon and what one would write instead, in turn, each as a process of its own against the same
services in this one. Workers take no time, so all that is measured is the dispatching.
"""

import argparse
import asyncio
import logging
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

import structlog
from rich.console import Console

from tests.dispatch_bench.contenders import CONTENDERS, measure
from tests.dispatch_bench.process import ROOT
from tests.dispatch_bench.report import Circumstances, Report, rich_table


def main() -> int:
    given = _arguments()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    report = Report(_circumstances(given.requests, given.repetitions))
    console = Console()
    runs = list(product(range(1, given.repetitions + 1), CONTENDERS))
    with tempfile.TemporaryDirectory() as folder:
        for number, (repetition, contender) in enumerate(runs, start=1):
            place = Path(folder) / str(number)
            place.mkdir()
            run = asyncio.run(measure(contender, given.requests, repetition, place))
            report.runs.append(run)
            report.save(given.out)
            sys.stderr.write(
                f"{number}/{len(runs)} {contender.name}: {run.per_cpu_second:,.0f} requests per "
                f"CPU-second, {run.seconds:.0f} s\n"
            )
    console.print(rich_table(report.summary()))
    console.print(rich_table(report.calls()))
    console.print(report.verdict())
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-dispatch", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--repetitions", type=int, default=3)
    return parser.parse_args()


def _circumstances(requests: int, repetitions: int) -> Circumstances:
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in cpus if line.startswith("model name")]
    return Circumstances(
        started=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        commit=_git("rev-parse", "--short=12", "HEAD"),
        uncommitted_changes=bool(_git("status", "--porcelain", "--untracked-files=no")),
        cpu=names[0] if names else "unknown CPU",
        cpus=len(os.sched_getaffinity(0)),
        requests=requests,
        repetitions=repetitions,
    )


def _git(*arguments: str) -> str:
    told = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return told.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
