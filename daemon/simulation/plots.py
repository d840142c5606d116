"""The plots of a simulation, as PNG: what each chip did, backlog and fleet, cost.

Colours are of the Okabe-Ito palette, which most colour-blind people can tell apart.
Source: jfly.uni-koeln.de/color
"""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from daemon.simulation.occupancy import (
    State,
    backlog_over_time,
    chips_over_time,
    occupancy,
)
from daemon.simulation.policies import Policy, Run

DOTS_PER_INCH = 120
COLUMNS = 600
POINTS = 150

STATES = {
    State.AWAY: ("not there", "#ffffff"),
    State.BOOTING: ("boot", "#cfcfcf"),
    State.IDLE: ("idle, or a container starts", "#e69f00"),
    State.ONE_CORE: ("one core busy", "#56b4e9"),
    State.TWO_CORES: ("two cores busy", "#0072b2"),
}

COLOURS = {
    Policy.FLEET: "#0072b2",
    Policy.TWO_PER_CHIP: "#e69f00",
    Policy.JOB_PER_FILE: "#d55e00",
    Policy.BOUND: "#009e73",
}

LINES = {
    Policy.FLEET: "-",
    Policy.TWO_PER_CHIP: "--",
    Policy.JOB_PER_FILE: ":",
}

MINUTES_UP_TO_SECONDS = 3 * 3_600.0
"""Longer simulations count hours."""


def draw(title: str, runs: Sequence[Run], folder: Path) -> list[Path]:
    """Write all plots; returns the files."""
    files = [_occupancy(title, run, folder) for run in runs if run.history is not None]
    if any(run.history is not None for run in runs):
        files.append(_over_time(title, runs, folder))
    files.append(_cost(title, runs, folder))
    return files


def _occupancy(title: str, run: Run, folder: Path) -> Path:
    lives = run.history.instances if run.history else ()
    chart = occupancy(lives, COLUMNS)
    chips = max(1, len(chart.rows))
    unit, divisor = _unit(chart.column_seconds * COLUMNS)
    figure, axes = plt.subplots(figsize=(11, 2.4 + min(5.0, 0.22 * chips)), layout="constrained")
    axes.imshow(
        chart.rows or [[State.AWAY] * COLUMNS],
        aspect="auto",
        interpolation="nearest",
        resample=False,
        cmap=ListedColormap([colour for _, colour in STATES.values()]),
        vmin=min(State) - 0.5,
        vmax=max(State) + 0.5,
        extent=(0.0, chart.column_seconds * COLUMNS / divisor, chips + 0.5, 0.5),
    )
    for row in range(1, chips):
        axes.axhline(row + 0.5, color="white", linewidth=0.4)
    axes.set_xlabel(f"time since the start of the simulation ({unit})")
    axes.set_ylabel("chip")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_title(
        f"{title}, {run.policy}: {run.measures.busy_share:.0%} of the paid core time busy, "
        f"{run.measures.half_filled_share:.0%} of the chip time half filled"
    )
    shown = [Patch(facecolor=colour, label=label) for label, colour in list(STATES.values())[1:]]
    figure.legend(handles=shown, loc="outside lower center", ncols=len(shown), frameon=False)
    return _save(figure, folder / f"occupancy-{run.policy}.png")


def _over_time(title: str, runs: Sequence[Run], folder: Path) -> Path:
    figure, (backlog, fleet) = plt.subplots(
        2, 1, figsize=(11, 6), sharex=True, layout="constrained"
    )
    end_seconds = max(
        (life.ended_at for run in runs if run.history for life in run.history.instances),
        default=1.0,
    )
    unit, divisor = _unit(end_seconds)
    # What is named first is drawn last, above the others.
    for order, run in enumerate(reversed(runs)):
        if run.history is None:
            continue
        waiting = backlog_over_time(
            run.history.arrived_at, run.history.settled_at, end_seconds, POINTS
        )
        chips = chips_over_time(run.history.instances, end_seconds, POINTS)
        for axes, means in ((backlog, waiting), (fleet, chips)):
            axes.plot(
                [(at + 0.5) * means.column_seconds / divisor for at in range(POINTS)],
                means.values,
                label=run.policy,
                color=COLOURS[run.policy],
                linestyle=LINES[run.policy],
                linewidth=1.6,
                zorder=2 + order,
            )
    backlog.set_ylabel("requests without an end")
    backlog.set_title(f"{title}: backlog and fleet")
    backlog.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    fleet.yaxis.set_major_locator(MaxNLocator(integer=True))
    fleet.set_ylabel("chips paid for")
    fleet.set_xlabel(
        f"time since the start of the simulation ({unit}); "
        f"means of {end_seconds / POINTS / 60:.2g} minutes each"
    )
    for axes in (backlog, fleet):
        _plain(axes)
        axes.set_ylim(bottom=0)
        axes.set_xlim(0, end_seconds / divisor)
        axes.grid(visible=True, axis="y", color="#dddddd", linewidth=0.6)
    handles, labels = backlog.get_legend_handles_labels()
    figure.legend(
        handles[::-1], labels[::-1], loc="outside lower center", ncols=len(labels), frameon=False
    )
    return _save(figure, folder / "backlog-and-fleet.png")


def _cost(title: str, runs: Sequence[Run], folder: Path) -> Path:
    figure, axes = plt.subplots(figsize=(8, 1.6 + 0.6 * len(runs)), layout="constrained")
    costs = [run.measures.dollars_per_audio_hour or 0.0 for run in runs]
    bars = axes.barh(
        [run.policy for run in runs], costs, color=[COLOURS[run.policy] for run in runs]
    )
    axes.bar_label(bars, labels=[f"${cost:.4f}" for cost in costs], padding=4)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("cost of an hour of audio (US dollars)")
    axes.set_title(title)
    _plain(axes)
    return _save(figure, folder / "cost.png")


def _unit(seconds: float) -> tuple[str, float]:
    return ("hours", 3_600.0) if seconds > MINUTES_UP_TO_SECONDS else ("minutes", 60.0)


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=DOTS_PER_INCH)
    plt.close(figure)
    return path
