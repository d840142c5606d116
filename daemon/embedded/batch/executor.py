"""Runs attempts as real processes of this machine.

Where this departs from AWS: there is no container. The job's image is recorded and never pulled;
the command runs from this machine's own files, as this user, in the environment that the executor
was given plus the job's own. Memory is not limited. A core of the instance is a share of this
machine's CPUs.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL, Signals
from typing import Protocol

from daemon.embedded.batch import launcher
from daemon.embedded.batch.effects import Run, StopSignal

CLOSE_GRACE_SECONDS = 3.0
"""From SIGTERM to SIGKILL for what still runs when the service stops."""

SIGNALLED_EXIT_CODE = 128
"""A container killed by a signal exits with this plus the signal's number, as in Docker."""


class StartError(Exception):
    """CannotStartContainerError: {problem}"""

    def __init__(self, problem: str) -> None:
        super().__init__(str(self.__doc__).format(problem=problem))


@dataclass(frozen=True, slots=True)
class Exit:
    """How an attempt's container ended.

    `reason` is the container's own, where there is one, as in `OutOfMemoryError: Container killed
    due to memory usage`. The exit code is absent where the container never came to run.
    """

    exit_code: int | None
    reason: str | None = None


class Attendant(Protocol):
    """One attempt that was started."""

    async def wait(self) -> Exit:
        """Wait for the attempt's end."""

    def signal(self, stop_signal: StopSignal) -> None:
        """Signal all of the attempt's processes; harmless once they are gone."""


class Executor(Protocol):
    """Runs attempts, one way or another: as processes here, in memory in a simulation."""

    async def start(self, run: Run) -> Attendant:
        """Start an attempt; StartError says why it cannot be."""

    async def close(self) -> None:
        """Stop all that still runs; nothing is left when this returns."""


class ProcessAttendant:
    """A process and those that it started: one session, one process group."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.end = asyncio.create_task(self._watch())

    async def _watch(self) -> Exit:
        """Wait for the first process; the others end with it, as in a container."""
        returncode = await self._process.wait()
        self._signal_group(SIGKILL)
        return Exit(returncode if returncode >= 0 else SIGNALLED_EXIT_CODE - returncode)

    async def wait(self) -> Exit:
        """Wait for the attempt's end."""
        return await asyncio.shield(self.end)

    def signal(self, stop_signal: StopSignal) -> None:
        """Signal the whole group."""
        if not self.end.done() and self._process.returncode is None:
            self._signal_group(Signals[f"SIG{stop_signal}"])

    def _signal_group(self, number: Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)


class SubprocessExecutor:
    """One subprocess per attempt, on the CPUs of its core, with a log file of its own.

    `environment` is all that jobs inherit: nothing of this process's own environment is passed on.
    An attempt's log is the file `log_folder` / its log stream's name. The processes die with this
    one, even if it is killed (see `launcher`).
    """

    def __init__(
        self, log_folder: Path, environment: Mapping[str, str], cpus: Sequence[int]
    ) -> None:
        self._log_folder = log_folder
        self._environment = dict(environment)
        self._cpus = tuple(cpus)
        self._running: set[ProcessAttendant] = set()
        self._starting = asyncio.Lock()
        self._closed = False

    async def start(self, run: Run) -> ProcessAttendant:
        """Start an attempt's process; StartError if its program or its log cannot be opened."""
        environment = {**self._environment, **run.environment, **batch_variables(run)}
        program = (
            shutil.which(run.command[0], path=environment.get("PATH")) if run.command else None
        )
        if program is None:
            named = f"{run.command[0]!r} in the job's PATH" if run.command else "an empty command"
            raise StartError(f"cannot find {named}; correct the job definition")
        async with self._starting:
            if self._closed:
                raise StartError("the service is stopping")
            try:
                process = await self._spawn(run, program, environment)
            except OSError as error:
                raise StartError(f"cannot run {program!r}: {error}") from error
            attendant = ProcessAttendant(process)
            self._running.add(attendant)
        attendant.end.add_done_callback(lambda _: self._running.discard(attendant))
        return attendant

    async def _spawn(
        self, run: Run, program: str, environment: Mapping[str, str]
    ) -> asyncio.subprocess.Process:
        log = self._log_folder / run.log_stream
        log.parent.mkdir(parents=True, exist_ok=True)
        cpus = cpus_of_core(run.core, run.cores, self._cpus)
        with log.open("ab") as output:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *launcher.arguments(cpus, os.getpid()),
                program,
                *run.command[1:],
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def close(self) -> None:
        """SIGTERM to every group, SIGKILL to those that do not end in time; no starts after."""
        async with self._starting:
            self._closed = True
        ends = [attendant.end for attendant in self._running]
        for attendant in self._running:
            attendant.signal(StopSignal.TERM)
        if ends:
            await asyncio.wait(ends, timeout=CLOSE_GRACE_SECONDS)
        for attendant in self._running:
            attendant.signal(StopSignal.KILL)
        await asyncio.gather(*ends)


def batch_variables(run: Run) -> dict[str, str]:
    """The variables that Batch sets for an attempt.

    Source: docs.aws.amazon.com/batch/latest/userguide/job_env_vars.html
    """
    variables = {
        "AWS_BATCH_JOB_ID": run.key.job_id,
        "AWS_BATCH_JOB_ATTEMPT": str(run.key.attempt),
        "AWS_BATCH_JQ_NAME": run.queue,
        "AWS_BATCH_CE_NAME": run.compute_environment,
    }
    if run.array_index is not None:
        variables["AWS_BATCH_JOB_ARRAY_INDEX"] = str(run.array_index)
    return variables


def cpus_of_core(core: int, cores: int, cpus: Sequence[int]) -> tuple[int, ...]:
    """The share of this machine's CPUs that one of an instance's cores stands for.

    Fewer CPUs than cores are handed out in turn; instances do not know of each other.
    """
    if len(cpus) < cores:
        return (cpus[core % len(cpus)],)
    return tuple(cpus[core * len(cpus) // cores : (core + 1) * len(cpus) // cores])
