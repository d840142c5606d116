"""`whisper-fleet simulate`: how policies would do on a scenario, on virtual time."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from daemon.cli.options import DEFAULT_CONFIG, ConfigFile
from daemon.cli.problem import Problem
from daemon.settings import load

if TYPE_CHECKING:
    from daemon.simulation.policies import Policy
    from daemon.simulation.result import Result

DEFAULT_PARAMETERS = Path("config/simulation.toml")

LOOK_PERIOD_SECONDS = 0.25


def run(
    scenario: Annotated[
        str, typer.Option(help="A shipped scenario, or a file like one.", metavar="FILE_OR_NAME")
    ],
    out: Annotated[Path, typer.Option(help="Where result.json and the plots go.", metavar="DIR")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.json.")] = 1,
    requests: Annotated[
        int | None, typer.Option(help="So many instead of the scenario's own.", min=1)
    ] = None,
    policies: Annotated[
        str, typer.Option(help="Comma-separated.", metavar="LIST")
    ] = "fleet,two-per-chip,job-per-file,bound",
    parameters: Annotated[
        Path, typer.Option(help="Times and prices, as in `config/simulation.toml`.")
    ] = DEFAULT_PARAMETERS,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Run the daemon and other policies on a scenario, and compare cost, idle chips and waiting.

    The real daemon decides, with its settings, on a simulated cloud and on virtual time. The others
    are the public samples' (`two-per-chip`, `job-per-file`) and a lower bound that knows the future
    (`bound`). Shipped scenarios: steady-trickle, archive-dump, call-centre, podcast-library,
    burst-from-zero, spot-storm, poison, one-long-file.

    Example: `whisper-fleet simulate --scenario call-centre --seed 7 --out simulations/calls`

    Exit code: 0 when every policy came to its end.
    """
    with _simulate_extra():
        from daemon.simulation import parameters as times_and_prices
        from daemon.simulation import plots, workload
        from daemon.simulation import scenario as scenarios
        from daemon.simulation.fleet import Unsettled
        from daemon.simulation.policies import Policy
        from daemon.simulation.policies import run as run_policy
        from daemon.simulation.result import result
    chosen = _parse_policies(policies, list(Policy))
    facts = times_and_prices.load(parameters)
    settings = load(config)
    drawn = scenarios.load(scenario)
    work = workload.draw(drawn, facts, requests or drawn.requests, seed)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Problem(f"--out: {out}: cannot be a folder: {error.strerror}") from error
    console = Console(highlight=False)
    runs = []
    with _bars(Console(stderr=True)) as bars:
        for policy in chosen:
            bar = _Bar(bars, policy, len(work))
            try:
                runs.append(run_policy(policy, work, facts, settings, seed, bar.show))
            except Unsettled as error:
                raise Problem(str(error)) from error
            bar.end()
    told = result(Path(scenario).stem, work, facts, seed, runs)
    (out / "result.json").write_text(told.to_json(), encoding="utf-8")
    files = plots.draw(drawn.title, runs, out)
    show(told, console)
    for file in (out / "result.json", *files):
        console.print(str(file), soft_wrap=True, markup=False)


def show(told: "Result", console: Console) -> None:
    """The table of a result."""
    from daemon.simulation.report import ROWS, cell, heading

    console.print(heading(told), markup=False)
    table = Table()
    table.add_column("")
    for policy in told.policies:
        table.add_column(policy, justify="right")
    for row in ROWS:
        table.add_row(row.name, *(cell(row, *one) for one in told.policies.items()))
    console.print(table)


def _parse_policies(text: str, known: "list[Policy]") -> "list[Policy]":
    names = list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    for name in names:
        if name not in known:
            raise Problem(f"--policies: there is no policy {name!r}, only {', '.join(known)}")
    if not names:
        raise Problem(f"--policies: name at least one of {', '.join(known)}")
    return [policy for name in names for policy in known if policy == name]


@contextmanager
def _simulate_extra() -> Iterator[None]:
    """Nobody who runs a daemon needs the plots; say so when they are asked for."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Problem(
            f"{error.name} is not installed: pip install 'whisper-fleet[simulate]'"
        ) from error


def _bars(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("requests, virtual {task.fields[virtual]} h,"),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
    )


class _Bar:
    """The progress of one policy."""

    def __init__(self, bars: Progress, policy: "Policy", requests: int) -> None:
        self._bars = bars
        self._requests = requests
        self._task: TaskID = bars.add_task(f"{policy:13}", total=requests, virtual="0:00")
        self._shown_at = 0.0

    def show(self, virtual_seconds: float, settled: int) -> None:
        """So far; not more often than a person can see."""
        if time.monotonic() - self._shown_at < LOOK_PERIOD_SECONDS:
            return
        self._shown_at = time.monotonic()
        hours, minutes = divmod(int(virtual_seconds) // 60, 60)
        self._bars.update(self._task, completed=settled, virtual=f"{hours}:{minutes:02}")

    def end(self) -> None:
        """All is settled."""
        self._bars.update(self._task, completed=self._requests)
