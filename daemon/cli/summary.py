"""What a person reads when a local run is over."""

from rich.console import Console
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from daemon.cli.local_run import Report, Result
from daemon.status import Stage

TEXTS_MAX = 10
"""Of more transcripts than this, only the files are named."""


def show(report: Report, console: Console) -> None:
    """Each transcript and where its files are, then the figures of the run."""
    for result in report.results:
        _show_result(result, console, with_text=len(report.results) <= TEXTS_MAX)
    console.print()
    console.print(_figures(report))


def _show_result(result: Result, console: Console, *, with_text: bool) -> None:
    console.print()
    console.print(Rule(Text(result.recording.name), align="left", style="dim"))
    standing = result.standing
    if standing.stage is not Stage.DONE:
        reason = standing.outcome.reason if standing.outcome else None
        console.print(Text(f"failed: {reason or 'no outcome'}", style="bold red"))
        console.print(Text(standing.detail))
        return
    if with_text:
        console.print(Text(result.text or "(no speech)"))
    for warning in standing.outcome.warnings if standing.outcome else ():
        console.print(Text(f"warning: {warning}", style="yellow"))
    console.print(Text("  ".join(str(file) for file in result.files), style="cyan"))


def _figures(report: Report) -> Table:
    audio_minutes = report.audio_seconds / 60
    figures = report.figures
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    rows = [
        (
            "requests",
            f"{len(report.results) - len(report.failed)} done, {len(report.failed)} failed",
        ),
        ("audio", f"{audio_minutes:.1f} minutes"),
        ("wall time", f"{report.wall_seconds:.1f} s"),
        ("speed", f"{report.audio_seconds / report.wall_seconds:.1f} times real time"),
        ("orders", str(report.orders)),
        ("jobs", str(figures.jobs_submitted)),
        ("requests retried", str(report.retries)),
    ]
    for number, ((instance_id, core), busy) in enumerate(figures.core_busy_seconds.items()):
        share = busy / report.wall_seconds
        rows.append(
            (f"core {number}", f"{busy:.1f} s busy ({share:.0%}), {instance_id} core {core}")
        )
    for name, value in rows:
        table.add_row(Text(name, style="bold"), value)
    return table
