"""The figures as rows of text: what the console and the Markdown page show of a result.

`python -m daemon.simulation.report RESULT_JSON…` prints the page of some results.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.simulation.figures import Measures
from daemon.simulation.policies import Policy
from daemon.simulation.result import Result

NONE = "–"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: its name, and how it reads."""

    name: str
    shown: Callable[[Measures], str]


def seconds(value: float | None) -> str:
    """A time in the unit that a person would use."""
    if value is None:
        return NONE
    if value < 120:
        return f"{value:.0f} s"
    return f"{value / 60:.1f} min" if value < 7_200 else f"{value / 3_600:.1f} h"


def _money(value: float | None, digits: int) -> str:
    return NONE if value is None else f"${value:,.{digits}f}"


ROWS = (
    Row("cost", lambda m: _money(m.dollars, 2)),
    Row("cost per audio hour", lambda m: _money(m.dollars_per_audio_hour, 4)),
    Row("busy core time", lambda m: f"{m.busy_share:.1%}"),
    Row("transcribing core time", lambda m: f"{m.transcribing_share:.1%}"),
    Row("half-filled chip time", lambda m: f"{m.half_filled_share:.1%}"),
    Row("makespan", lambda m: seconds(m.makespan_seconds)),
    Row("first transcript", lambda m: seconds(m.first_transcript_seconds)),
    Row("turnaround p50", lambda m: seconds(m.turnaround_p50_seconds)),
    Row("turnaround p95", lambda m: seconds(m.turnaround_p95_seconds)),
    Row("turnaround p99", lambda m: seconds(m.turnaround_p99_seconds)),
    Row("submissions / jobs", lambda m: f"{m.submissions:,} / {m.jobs:,}"),
    Row("calls per 1,000 requests", lambda m: f"{m.calls_per_1000_requests:,.0f}"),
    Row("work repeated", lambda m: f"{m.repeated_share:.2%}"),
    Row("work cut short", lambda m: f"{m.cut_short_share:.2%}"),
    Row("instances (lost)", lambda m: f"{m.instances:,} ({m.instances_lost:,})"),
    Row("chips at most", lambda m: f"{m.peak_chips:,}"),
    Row("transcripts / failed", lambda m: f"{m.transcripts:,} / {m.given_up:,}"),
)

FROM_A_RUN = frozenset({"submissions / jobs", "calls per 1,000 requests", "instances (lost)"})
"""What the bound has none of."""


def cell(row: Row, policy: Policy, measures: Measures) -> str:
    """One cell of the table."""
    if policy is Policy.BOUND and row.name in FROM_A_RUN:
        return NONE
    return row.shown(measures)


def heading(result: Result) -> str:
    """What was simulated, in a line."""
    return (
        f"{result.title}: {result.requests:,} requests, {result.audio_hours:,.1f} hours of audio, "
        f"{result.work_core_hours:,.1f} core hours of work, at most {result.chips_max} chips"
    )


SUMMARY = (
    "| scenario | cost per audio hour: fleet | two-per-chip | bound | busy | half-filled "
    "| p95: fleet | two-per-chip | makespan: fleet | bound | work repeated |"
)


def summary(results: Sequence[Result]) -> Iterator[str]:
    """A table with a row for each result that has all of the three policies."""
    yield SUMMARY
    yield f"|---|{'---:|' * (SUMMARY.count('|') - 2)}"
    for one in results:
        fleet = one.policies.get(Policy.FLEET)
        other, bound = one.policies.get(Policy.TWO_PER_CHIP), one.policies.get(Policy.BOUND)
        if fleet is None or other is None or bound is None:
            continue
        cells = [
            *(_money(policy.dollars_per_audio_hour, 4) for policy in (fleet, other, bound)),
            f"{fleet.busy_share:.1%}",
            f"{fleet.half_filled_share:.1%}",
            *(seconds(policy.turnaround_p95_seconds) for policy in (fleet, other)),
            *(seconds(policy.makespan_seconds) for policy in (fleet, bound)),
            f"{fleet.repeated_share:.2%}",
        ]
        yield f"| {one.scenario}, {one.requests:,} | {' | '.join(cells)} |"


def markdown(results: Sequence[Result]) -> str:
    """A page with a table of all, then one for each result, with a column per policy."""
    lines = ["# Simulations", "", *summary(results), ""]
    for one in results:
        policies = list(one.policies)
        lines += [f"## {one.scenario}", "", f"{heading(one)}; seed {one.seed}.", ""]
        lines.append(f"| | {' | '.join(policies)} |")
        lines.append(f"|---|{'---:|' * len(policies)}")
        for row in ROWS:
            cells = [cell(row, policy, one.policies[policy]) for policy in policies]
            lines.append(f"| {row.name} | {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def main(files: Sequence[str]) -> None:
    """Print the page of some files."""
    results = [Result.model_validate_json(Path(file).read_text(encoding="utf-8")) for file in files]
    sys.stdout.write(markdown(results))


if __name__ == "__main__":
    main(sys.argv[1:])
