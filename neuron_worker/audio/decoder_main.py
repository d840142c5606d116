"""The decoder process: decodes one file after another, and holds as little as it can.

`neuron_worker.audio.decoder_process` starts it, with the line's descriptor as an argument and, as
standard input, a pipe that closes when the worker dies.
"""

import fcntl
import importlib
import io
import os
import pkgutil
import resource
import signal
import socket
import sys
import time
import traceback

import av

from neuron_worker.audio.errors import AudioError
from neuron_worker.audio.messages import (
    OUT_OF_MEMORY_EXIT_CODE,
    READ_BYTES_MAX,
    Audio,
    Broken,
    Content,
    Ended,
    HungUp,
    Line,
    Nonsense,
    Open,
    Opened,
    Read,
    Ready,
    Refused,
)
from neuron_worker.audio.reader import AudioReader

PYAV_PROGRAMS = frozenset({"av.__main__", "av.datasets"})
"""Its command, and a downloader of samples."""

DESCRIPTORS_MAX = 3
"""Standard input, output and errors are open; no file and no socket can be opened any more."""


def main(descriptor: int, memory_max_mib: int, cpu_max_seconds: int) -> None:
    """Decode what the line orders, until the worker hangs up."""
    end_with_the_worker()
    for stop in (signal.SIGTERM, signal.SIGINT):
        # They reach a whole group or container; the worker decides when its decoder ends.
        signal.signal(stop, signal.SIG_IGN)
    _import_all_of_pyav()
    line = Line(socket.socket(fileno=descriptor))
    _give_up_privileges(memory_max_mib)
    line.send(Ready())
    while True:
        try:
            order, _ = line.receive()
            if not isinstance(order, Open):
                raise Nonsense(f"{order} while no file is open")
            _read(order, line, cpu_max_seconds)
        except HungUp:
            return
        except MemoryError:
            os._exit(OUT_OF_MEMORY_EXIT_CODE)


def _read(order: Open, line: Line, cpu_max_seconds: int) -> None:
    """Read one file and say what comes of it."""
    _allow_cpu(cpu_max_seconds)
    file = io.BufferedReader(RemoteFile(line, order.size), READ_BYTES_MAX)
    try:
        with AudioReader(
            file,
            max_seconds=order.max_seconds,
            separate_channels=order.separate_channels,
            start_seconds=order.start_seconds,
        ) as reader:
            line.send(Opened(reader.facts))
            for block in reader.blocks():
                _allow_cpu(cpu_max_seconds)
                line.send(Audio(len(block), reader.facts), block.tobytes())
            line.send(Ended(reader.facts))
    except AudioError as error:
        line.send(Refused(type(error).__name__, error.fields))
    except (HungUp, MemoryError):
        raise
    except Exception:
        line.send(Broken(traceback.format_exc()))


class RemoteFile(io.RawIOBase):
    """The worker's file, read over the line."""

    def __init__(self, line: Line, size: int) -> None:
        super().__init__()
        self._line = line
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is asked for."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        """Ask the worker for bytes."""
        size = min(len(buffer), READ_BYTES_MAX, self._size - self._position)
        if size <= 0:
            return 0
        self._line.send(Read(self._position, size))
        answer, content = self._line.receive()
        if not isinstance(answer, Content):
            raise Nonsense(f"{answer} instead of content")
        buffer[: len(content)] = content
        self._position += len(content)
        return len(content)


def end_with_the_worker() -> None:
    """The kernel ends this process with SIGIO when the worker's end of standard input closes.

    Unlike PR_SET_PDEATHSIG, this is tied to the worker's life and not to that of one thread of it.
    """
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)


def _import_all_of_pyav() -> None:
    """PyAV imports parts of itself when a file needs them, which is too late."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if module.name not in PYAV_PROGRAMS:
            importlib.import_module(module.name)


def _give_up_privileges(memory_max_mib: int) -> None:
    """From here on: no file, no socket, no word to the worker's log, and so much memory."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for what, most in (
        (resource.RLIMIT_NOFILE, DESCRIPTORS_MAX),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_DATA, memory_max_mib * 1024 * 1024),
    ):
        _, hard = resource.getrlimit(what)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (least, least))
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _allow_cpu(seconds: int) -> None:
    """The kernel ends this process with SIGXCPU when it has computed so much longer."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(time.process_time()) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
