"""What the runs come to: medians with their spread, as tables for people and as JSON."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from rich.table import Table

Cells = Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One contender working off the whole queue.

    CPU time is that of its process alone; `start_cpu_seconds` passed before it first asked for
    messages. `calls` are those that arrived at the services, by service and operation;
    `resident_mib` is its memory when so many requests were settled.
    """

    contender: str
    repetition: int
    requests: int
    start_cpu_seconds: float
    cpu_seconds: float
    seconds: float
    resident_mib: Mapping[int, float]
    calls: Mapping[str, int]

    @property
    def per_cpu_second(self) -> float:
        """Requests in a second of CPU time, from the start of the process on."""
        return self.requests / self.cpu_seconds

    @property
    def per_cpu_second_once_started(self) -> float:
        """The same, from its first receive on."""
        return self.requests / (self.cpu_seconds - self.start_cpu_seconds)

    @property
    def calls_per_thousand(self) -> float:
        """Calls to AWS for a thousand requests."""
        return 1000 * sum(self.calls.values()) / self.requests


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the numbers depend on."""

    started: str
    commit: str
    uncommitted_changes: bool
    cpu: str
    cpus: int
    requests: int
    repetitions: int


@dataclass(frozen=True, slots=True)
class Report:
    """Fills while the benchmark runs; the first contender is compared with the others."""

    circumstances: Circumstances
    runs: list[Run] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Write `dispatch.json` for programs and `dispatch.md` for the README."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "dispatch.json").write_text(json.dumps(asdict(self), indent=1) + "\n")
        (folder / "dispatch.md").write_text(self.markdown())

    def contenders(self) -> dict[str, list[Run]]:
        """The runs of each contender, in the order in which they came."""
        runs: dict[str, list[Run]] = {}
        for run in self.runs:
            runs.setdefault(run.contender, []).append(run)
        return runs

    def times_better(self, of: Callable[[Run], float]) -> list[float]:
        """How much larger a median is for the first contender than for each of the others."""
        first, *others = (median(map(of, runs)) for runs in self.contenders().values())
        return [first / other for other in others]

    def summary(self) -> list[Cells]:
        """A line per contender below a head."""
        head = [
            "",
            "requests per CPU-second",
            "once started",
            "calls per 1,000 requests",
            f"MiB after {', '.join(f'{at:,}' for at in self.runs[0].resident_mib)}",
        ]
        return [head, *(_summary_line(name, runs) for name, runs in self.contenders().items())]

    def calls(self) -> list[Cells]:
        """Calls per thousand requests, by operation: a line per operation below a head."""
        contenders = self.contenders()
        operations = dict.fromkeys(name for run in self.runs for name in sorted(run.calls))

        def cell(operation: str, runs: Sequence[Run]) -> str:
            each = [1000 * run.calls.get(operation, 0) / run.requests for run in runs]
            return f"{median(each):.1f}" if any(each) else "–"

        return [
            ["calls per 1,000 requests", *contenders],
            *([name, *(cell(name, runs) for runs in contenders.values())] for name in operations),
        ]

    def verdict(self) -> str:
        """The comparison in words."""
        rivals = list(self.contenders())[1:]
        cpu = self.times_better(lambda run: run.per_cpu_second)
        calls = self.times_better(lambda run: 1 / run.calls_per_thousand)
        return "\n".join(
            f"{more:.1f} times fewer CPU-seconds and {fewer:.1f} times fewer calls than the {name}"
            for name, more, fewer in zip(rivals, cpu, calls, strict=True)
        )

    def markdown(self) -> str:
        """For the README."""
        said = self.circumstances
        changes = " with uncommitted changes" if said.uncommitted_changes else ""
        head = (
            f"- {said.started}, commit {said.commit}{changes}\n"
            f"- {said.cpu}, {said.cpus} CPUs\n"
            f"- {said.requests:,} requests, {said.repetitions} repetitions\n"
        )
        return "\n".join([head, _markdown(self.summary()), _markdown(self.calls())])


def rich_table(lines: Sequence[Cells]) -> Table:
    """For a terminal."""
    table = Table(*lines[0])
    for line in lines[1:]:
        table.add_row(*line)
    return table


def _markdown(lines: Sequence[Cells]) -> str:
    rows = [f"| {' | '.join(line)} |".replace("|  |", "| |") for line in lines]
    return "\n".join([rows[0], "|---" * len(lines[0]) + "|", *rows[1:]]) + "\n"


def _summary_line(name: str, runs: Sequence[Run]) -> Cells:
    resident = [
        f"{median(run.resident_mib[settled] for run in runs):.0f}"
        for settled in runs[0].resident_mib
    ]
    return [
        name,
        _spread([run.per_cpu_second for run in runs]),
        _spread([run.per_cpu_second_once_started for run in runs]),
        _spread([run.calls_per_thousand for run in runs]),
        ", ".join(resident),
    ]


def _spread(values: Sequence[float]) -> str:
    """The median, with the least and the most where they differ."""
    middle, least, most = (f"{value:,.0f}" for value in (median(values), min(values), max(values)))
    return middle if least == most else f"{middle} ({least}–{most})"
