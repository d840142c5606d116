"""Medians of the runs, as Markdown for people and as JSON for everything else."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import NamedTuple

LEGEND = """\
Median of the repetitions, with the least and the most in brackets. Engines run one after another,
round after round, each in a process of its own, bound to as many CPUs as it has threads. Loading
the model and a short warm-up are not counted; decoding the audio file is. Peak memory is that of
the process and of those that it started, with loading. Words are counted after Whisper's English
normaliser.
"""


class Place(NamedTuple):
    """The table that a run belongs to."""

    speech: str
    threads: int


@dataclass(frozen=True, slots=True)
class Result:
    """One run of one engine on one file. `only_opening`: it heard the file's opening alone."""

    engine: str
    place: Place
    repetition: int
    only_opening: bool
    audio_seconds: float
    seconds: float
    peak_mib: float
    word_error_rate: float
    text: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A run without a result."""

    engine: str
    place: Place
    repetition: int
    problem: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the numbers depend on."""

    started: str
    commit: str
    uncommitted_changes: bool
    cpu: str
    cpus: int
    model: str
    weights_sha256: str
    repetitions: int


@dataclass(frozen=True, slots=True)
class Report:
    """Fills while the benchmark runs; `speech` describes the files."""

    circumstances: Circumstances
    speech: Sequence[dict[str, object]]
    results: list[Result] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def save(self, folder: Path) -> None:
        """Write `table.md` and `results.json`."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "table.md").write_text(self.markdown())
        (folder / "results.json").write_text(json.dumps(asdict(self), indent=1) + "\n")

    def markdown(self) -> str:
        """A table for each file and number of threads, in the order of the runs."""
        said = self.circumstances
        changes = " with uncommitted changes" if said.uncommitted_changes else ""
        head = (
            f"# Speed of transcription\n\n{LEGEND}\n"
            f"- {said.started}, commit {said.commit}{changes}\n"
            f"- {said.cpu}, {said.cpus} CPUs\n"
            f"- {said.model}, weights {said.weights_sha256[:16]}, "
            f"{said.repetitions} repetitions\n"
        )
        heard = [result.place for result in self.results]
        failed = [failure.place for failure in self.failures]
        return head + "".join(self._table(place) for place in dict.fromkeys(heard + failed))

    def _table(self, place: Place) -> str:
        results = [result for result in self.results if result.place == place]
        failures = [failure for failure in self.failures if failure.place == place]
        whole_seconds = max((one.audio_seconds for one in results), default=0.0)
        lines = [
            f"\n## {place.speech}, {whole_seconds:.0f} s, {threads(place.threads)}\n",
            "| engine | seconds | times real time | peak MiB | WER % |",
            "|---|---|---|---|---|",
        ]
        by_engine: dict[str, list[Result]] = {}
        for result in results:
            by_engine.setdefault(result.engine, []).append(result)
        lines += [_line(runs) for runs in by_engine.values()]
        lines += [f"| {one.engine} | failed: {one.problem} | | | |" for one in failures]
        return "\n".join(lines) + "\n"


def threads(count: int) -> str:
    """`1 thread`, `2 threads`."""
    return f"{count} thread" + ("s" if count > 1 else "")


def _line(runs: Sequence[Result]) -> str:
    first = runs[0]
    part = f", first {first.audio_seconds:.0f} s only" if first.only_opening else ""
    seconds = [run.seconds for run in runs]
    spread = f" ({min(seconds):.1f}–{max(seconds):.1f})" if len(runs) > 1 else ""
    return (
        f"| {first.engine}{part} | {median(seconds):.1f}{spread} "
        f"| {first.audio_seconds / median(seconds):.1f} "
        f"| {median(run.peak_mib for run in runs):.0f} "
        f"| {100 * median(run.word_error_rate for run in runs):.2f} |"
    )
