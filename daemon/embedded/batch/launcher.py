"""Becomes the program of a job, on given CPUs, and bound to die with the process that started it.

It runs as a script in a fresh interpreter, before the job's program takes its place, because what
it does cannot be done safely between fork and exec of a process with threads. It imports nothing of
this project.

The kernel binds the program alone: when the service is killed with SIGKILL, processes that the
program itself has started live on. When the service stops in order, they end too.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Iterable

PR_SET_PDEATHSIG = 1
"""prctl's option for the signal to get when the parent dies (Linux, prctl(2))."""


def arguments(cpus: Iterable[int], parent_pid: int) -> list[str]:
    """The interpreter's arguments; the program to become, with a full path, is to follow."""
    return ["-I", "-S", __file__, ",".join(map(str, cpus)), str(parent_pid)]


def main(cpus: str, parent_pid: str, program: str, *rest: str) -> None:
    """Become the program. Other systems than Linux know neither CPU sets nor parents' deaths."""
    if sys.platform == "linux":
        os.sched_setaffinity(0, map(int, cpus.split(",")))
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != int(parent_pid):
            sys.exit("the service that started this job is gone")
    os.execv(program, [program, *rest])  # noqa: S606 - a job is a program, not a shell line


if __name__ == "__main__":
    main(*sys.argv[1:])
