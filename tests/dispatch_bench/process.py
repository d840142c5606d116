"""A process under measurement: what the kernel says of its CPU time and its memory."""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
"""The checkout: modules are run from here."""

STOP_SECONDS = 60.0

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
BYTES_PER_MIB = 1024 * 1024

USER_TICKS, SYSTEM_TICKS = 11, 12
"""Positions in /proc/<pid>/stat behind the name of the program.

Source: proc_pid_stat(5), utime and stime, which include all threads.
"""


class ProcessEnded(Exception):
    """{command} ended before its work was done, with exit code {code}; the last that it said:
    {said}"""

    def __init__(self, command: str, code: int, said: str) -> None:
        super().__init__(str(self.__doc__).format(command=command, code=code, said=said))


class Process:
    """A process from its start on; what it says goes to a file."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._name = " ".join(command[:3])
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, **environment, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def cpu_seconds(self) -> float:
        """CPU time of the process since it began, its own and the kernel's for it."""
        behind_name = self._read("stat").rpartition(")")[2].split()
        ticks = int(behind_name[USER_TICKS]) + int(behind_name[SYSTEM_TICKS])
        return ticks / TICKS_PER_SECOND

    @property
    def resident_mib(self) -> float:
        """Memory of the process that is in RAM now."""
        return int(self._read("statm").split()[1]) * PAGE_BYTES / BYTES_PER_MIB

    @property
    def peak_resident_mib(self) -> float:
        """The most that was in RAM at once (proc_pid_status(5), VmHWM)."""
        found = re.search(r"^VmHWM:\s+(\d+) kB$", self._read("status"), re.MULTILINE)
        if found is None:
            raise LookupError("the kernel does not say VmHWM")
        return int(found[1]) / 1024

    def check(self) -> None:
        """Raise `ProcessEnded` if it has."""
        code = self._process.poll()
        if code is not None:
            said = self._log.read_text(errors="replace").strip().splitlines()[-5:]
            raise ProcessEnded(self._name, code, "\n".join(said))

    def stop(self) -> None:
        """SIGTERM, and SIGKILL if that does not help; nothing is left behind."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        finally:
            self._process.kill()
            self._process.wait()

    def _read(self, name: str) -> str:
        self.check()
        return Path(f"/proc/{self._process.pid}/{name}").read_text()
