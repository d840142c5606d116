"""What every engine's process does: load, warm up, and time one file from its path to its text."""

import argparse
import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

KIB_PER_MIB = 1024
"""`ru_maxrss` counts KiB on Linux (getrusage(2))."""

Transcribe = Callable[[Path], str]
"""Takes an audio file's path; decoding it is part of the work."""


def arguments() -> argparse.ArgumentParser:
    """What every engine takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--warm-up", type=Path, help="a short file, not timed")
    parser.add_argument("--model", required=True, help="where the engine's layout of it is")
    parser.add_argument("--threads", type=int, required=True)
    return parser


def measure(transcribe: Transcribe, audio: Path, warm_up: Path | None) -> None:
    """Write the seconds, the peak memory and the text as the last line of stdout."""
    if warm_up:
        transcribe(warm_up)
    started = time.perf_counter()
    text = transcribe(audio)
    measured = {
        "seconds": time.perf_counter() - started,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB,
        "text": text,
    }
    sys.stdout.write(f"\n{json.dumps(measured)}\n")
