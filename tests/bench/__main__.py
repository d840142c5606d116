"""`make bench`: this worker and its peers on the same machine, weights and speech."""

import argparse
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from tests.bench import real_speech
from tests.bench.process import ROOT, EngineFailed, run
from tests.bench.report import Circumstances, Failure, Place, Report, Result, threads
from tests.bench.rows import Row, chosen
from tests.bench.scoring import Normalize, english_normalizer, word_error_rate
from tests.bench.speech import Assembly, Speech

SHIPPED = ROOT / "tests" / "recordings"
"""Synthetic speech: whole paragraphs, in several formats."""

SPEECH_MIN_SECONDS = 600.0
OPENING_MIN_SECONDS = 30.0
"""What the slow rows hear: more than one window as a rule."""

WARM_UP_MIN_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Files:
    """One speech in the lengths that the rows need; the shorter are beginnings of the longer."""

    whole: Speech
    opening: Speech
    warm_up: Speech

    @classmethod
    def of(cls, name: str, folder: Path, cache: Path) -> "Files":
        assembly = Assembly(name, folder)
        return cls(
            assembly.write(SPEECH_MIN_SECONDS, cache / f"{name}.flac"),
            assembly.write(OPENING_MIN_SECONDS, cache / f"{name}-opening.flac"),
            assembly.write(WARM_UP_MIN_SECONDS, cache / f"{name}-warm-up.flac"),
        )


@dataclass(frozen=True, slots=True)
class Bench:
    """What every run needs."""

    worker_python: Path
    weights: dict[str, str]
    normalize: Normalize

    def run(self, row: Row, files: Files, place: Place, repetition: int) -> Result:
        """Raises EngineFailed."""
        speech = files.opening if row.slow else files.whole
        python = str(self.worker_python) if row.is_ours else sys.executable
        command = [python, "-m", f"tests.bench.engines.{row.module}", *row.settings]
        command += ["--model", self.weights[row.layout], "--threads", str(place.threads)]
        command += ["--audio", str(speech.file)]
        # A slow engine would take as long to warm up as to be measured.
        command += [] if row.slow else ["--warm-up", str(files.warm_up.file)]
        measured = run(command, place.threads)
        return Result(
            engine=row.name,
            place=place,
            repetition=repetition,
            only_opening=row.slow,
            audio_seconds=speech.seconds,
            seconds=measured.seconds,
            peak_mib=measured.peak_mib,
            word_error_rate=word_error_rate(speech.text, measured.text, self.normalize),
            text=measured.text,
        )


def main() -> int:
    # An engine under way must not outlive the benchmark.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given = _arguments()
    rows = chosen(given.engines)
    cache = given.cache.resolve()
    weights = _weights(given.worker_python, cache / "weights")
    speeches = [
        Files.of("supplied", given.speech, cache)
        if given.speech
        else Files.of("real", real_speech.fetch(cache), cache),
        Files.of("shipped", SHIPPED, cache),
    ]
    bench = Bench(given.worker_python, weights, english_normalizer())
    circumstances = _circumstances(weights["revision"], given.repetitions)
    report = Report(circumstances, [_described(files.whole) for files in speeches])
    runs = list(product(range(given.repetitions), speeches, given.threads, rows))
    for number, (repetition, files, count, row) in enumerate(runs, start=1):
        place = Place(files.whole.name, count)
        said = f"{number}/{len(runs)} {place.speech}, {threads(count)}, {row.name}: "
        try:
            result = bench.run(row, files, place, repetition)
        except EngineFailed as error:
            report.failures.append(Failure(row.name, place, repetition, str(error)))
            sys.stderr.write(f"{said}{error}\n")
        else:
            report.results.append(result)
            sys.stderr.write(f"{said}{result.seconds:.1f} s\n")
        report.save(given.out)
    sys.stdout.write(report.markdown())
    return 1 if report.failures else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--worker-python", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--engines", default="", help="parts of rows' names, comma-separated")
    parser.add_argument("--speech", type=Path, help="a folder of clips with a transcripts.json")
    return parser.parse_args()


def _weights(python: Path, folder: Path) -> dict[str, str]:
    command = [str(python), "-m", "tests.bench.weights", str(folder)]
    told = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    weights: dict[str, str] = json.loads(told.stdout)
    return weights


def _described(speech: Speech) -> dict[str, object]:
    return {**asdict(speech), "file": speech.file.name}


def _circumstances(weights_sha256: str, repetitions: int) -> Circumstances:
    cpus = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in cpus if line.startswith("model name")]
    return Circumstances(
        started=f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        commit=_git("rev-parse", "--short=12", "HEAD"),
        uncommitted_changes=bool(_git("status", "--porcelain", "--untracked-files=no")),
        cpu=names[0] if names else "unknown CPU",
        cpus=len(os.sched_getaffinity(0)),
        model="tiny.en",
        weights_sha256=weights_sha256,
        repetitions=repetitions,
    )


def _git(*arguments: str) -> str:
    told = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return told.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
