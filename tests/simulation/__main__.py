"""`make chaos`: plays many seeds, and shows of each that broke a promise how it came to that."""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TimeRemainingColumn
from rich.table import Table

from tests.simulation import trace
from tests.simulation.play import Played, play, play_seed
from tests.simulation.scenario import REQUESTS, draw


def main() -> int:
    """Play the seeds; 1 when one of them broke a promise."""
    parser = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--until-broken", action="store_true", help="end with the first such seed")
    options = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    began = time.monotonic()
    played = []
    with Progress(
        SpinnerColumn(), MofNCompleteColumn(), *Progress.get_default_columns()[1:2],
        TimeRemainingColumn(), console=console,
    ) as progress:  # fmt: skip
        task = progress.add_task("seeds", total=len(seeds))
        for one in _play_all(seeds, options.requests, options.processes):
            played.append(one)
            progress.advance(task)
            for problem in one.problems:
                progress.console.print(f"seed {one.seed}: {problem}", style="red", markup=False)
            if one.problems and options.until_broken:
                return 1
    console.print(_table(played, time.monotonic() - began))
    broken = sorted((one for one in played if one.problems), key=lambda one: one.seed)
    for one in broken[:3]:
        _explain(one, options.requests, console)
    if broken:
        names = " ".join(str(one.seed) for one in broken)
        console.print(f"[bold red]{len(broken)} of {len(played)} seeds broke a promise:[/] {names}")
        console.print(f"Again: make chaos SEEDS=1 FIRST_SEED={broken[0].seed}")
    return 1 if broken else 0


def _play_all(seeds: range, requests: int, processes: int) -> Iterator[Played]:
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            for future in as_completed([pool.submit(play_seed, seed, requests) for seed in seeds]):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _explain(broken: Played, requests: int, console: Console) -> None:
    """Play a seed again, and show the log of what went wrong."""
    with trace.recorded() as lines:
        again = play(draw(broken.seed, requests))
    same = "the same again" if again.digest == broken.digest else "NOT the same again"
    console.rule(f"seed {broken.seed}, {same}")
    for problem in broken.problems[:3]:
        console.print(problem, style="bold red", markup=False)
        for line in trace.concerning(problem, lines):
            console.print(line, markup=False)


def _table(played: list[Played], seconds: float) -> Table:
    table = Table(show_header=False, box=None)
    rows = {
        "seeds": f"{len(played)}, {sum(not one.problems for one in played)} without a problem",
        "requests": f"{sum(one.requests for one in played):,}",
        "daemons started": f"{sum(one.daemons for one in played):,}",
        "jobs submitted": f"{sum(one.jobs for one in played):,}",
        "calls to AWS by daemons": f"{sum(one.calls for one in played):,}",
        "virtual time": f"{sum(one.virtual_seconds for one in played) / 86_400:,.1f} days",
        "work done again": f"{max(one.repeated_share for one in played):.2%} at most, "
        f"{sum(one.repeated_share for one in played) / len(played):.2%} on average",
        "wall time": f"{seconds / 60:.1f} minutes",
    }
    for name, value in rows.items():
        table.add_row(name, value)
    return table


if __name__ == "__main__":
    sys.exit(main())
