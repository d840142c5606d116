"""The decoder process as the worker sees it: started, spoken to, ended, and asked why it ended."""

import os
import signal
import socket
import sys
from dataclasses import dataclass
from subprocess import DEVNULL, PIPE, Popen, TimeoutExpired

from neuron_worker.audio.errors import (
    AudioError,
    DecoderCrashedError,
    DecoderKilledError,
    DecoderStarvedError,
    DecoderStuckError,
)
from neuron_worker.audio.messages import (
    OUT_OF_MEMORY_EXIT_CODE,
    Line,
    LineError,
    Nonsense,
    Ready,
    Silent,
)

STARTING_SECONDS = 60.0
"""How long Python may take to start: 0.3 s on an idle machine."""

ENDING_SECONDS = 10.0
"""How long a process may take to end once it has closed its line."""

INHERITED = ("LD_LIBRARY_PATH", "PYTHONHOME")
"""What of the environment Python may need to start; the rest can hold secrets."""

SETTINGS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_TRIM_THRESHOLD_": str(64 * 1024 * 1024),
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
}
"""One thread, and a heap that keeps what is freed (mallopt(3)).

Every block of a second needs the same few hundred KB again. Given back to the kernel each time and
taken from it anew, page by page, they cost 40 % more CPU time over an MP3.
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the decoder may use before its file is given up."""

    cpu_seconds: int = 60
    """From one block to the next, which takes a hundredth of a second."""
    silence_seconds: float = 120.0
    """Without a word while it is the decoder's turn: for what hangs without computing."""
    memory_mib: int = 1024
    """All its private memory: with common recordings it holds 150 MiB."""


class DecoderNotStartedError(Exception):
    """The decoder process did not start."""


class DecoderProcess:
    """One process; it dies with the worker, however that ends, and not before.

    It is in a session of its own, out of reach of signals to the worker's group, and holds one end
    of a pipe whose other end closes with the worker.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        ours, theirs = socket.socketpair()
        with theirs:
            self._popen = Popen(
                [
                    *(sys.executable, "-P", "-m", "neuron_worker.audio.decoder_main"),
                    *(str(theirs.fileno()), str(limits.memory_mib), str(limits.cpu_seconds)),
                ],
                stdin=PIPE,
                stdout=DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env={name: os.environ[name] for name in INHERITED if name in os.environ}
                | SETTINGS
                | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._socket = ours
        self.line = Line(ours)
        self.line.be_patient(STARTING_SECONDS)
        self._ready = False

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._popen.pid

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def wait_until_ready(self) -> None:
        """Raises `DecoderNotStartedError`."""
        if self._ready:
            return
        try:
            message, _ = self.line.receive()
        except LineError as error:
            raise DecoderNotStartedError(
                f"the decoder process did not start ({self.blame(error)}): its words are in the log"
            ) from error
        self._ready = isinstance(message, Ready)
        self.line.be_patient(self._limits.silence_seconds)

    def end(self) -> None:
        """Kill it. Whoever waits on the line finds that it was hung up."""
        self._popen.kill()
        self._popen.wait()
        self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Kill it and let go of its line and pipe."""
        self.end()
        self.line.close()
        if self._popen.stdin:
            self._popen.stdin.close()

    def blame(self, error: LineError) -> AudioError:
        """Why the conversation with the process ended so, as a failure of its file."""
        if isinstance(error, Silent):
            return DecoderStuckError()
        if isinstance(error, Nonsense):
            return DecoderCrashedError(how="it spoke nonsense")
        try:
            code = self._popen.wait(ENDING_SECONDS)
        except TimeoutExpired:
            return DecoderCrashedError(how="it hung up")
        if code == -signal.SIGXCPU:
            return DecoderStuckError()
        if code == -signal.SIGKILL:
            return DecoderKilledError()
        if code == OUT_OF_MEMORY_EXIT_CODE:
            return DecoderStarvedError(memory_mib=self._limits.memory_mib)
        how = signal.strsignal(-code) if code < 0 else None
        return DecoderCrashedError(how=how or f"exit code {code}")
