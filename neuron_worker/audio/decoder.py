"""Decoding in a process of its own, so that no file can hang or crash the worker.

The process has no network, no credentials and no files: the worker reads the recording and hands
over the bytes that are asked for. When the process is stuck, wants too much memory or dies, its
file is blamed, and the next file gets a new process.
"""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Self

import numpy as np

from neuron_worker.audio.blocks import Block
from neuron_worker.audio.decoder_process import DecoderProcess, Limits
from neuron_worker.audio.errors import AudioError, EmptyFileError
from neuron_worker.audio.facts import AudioFacts
from neuron_worker.audio.messages import (
    Audio,
    Broken,
    Content,
    Ended,
    LineError,
    Nonsense,
    Open,
    Opened,
    Read,
    Refused,
)
from neuron_worker.audio.source import AudioFile

BLOCKS_AHEAD_MAX = 30
"""How many blocks may wait for whoever takes them: of a second each, 64 KB per channel."""

ERRORS = {error.__name__: error for error in AudioError.__subclasses__()}


class DecoderBrokenError(Exception):
    """The decoder failed by a fault of its own code."""


class Decoder:
    """A process that decodes one recording after another.

        with Decoder() as decoder:
            with decoder.open(file, max_seconds=86_400) as recording:
                for block in recording.blocks():
                    ...
            print(recording.facts.warnings)

    The process starts with the object, and again after a recording that was not read to its end.
    It decodes ahead of whoever takes the blocks, as far as `BLOCKS_AHEAD_MAX`.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._process: DecoderProcess | None = DecoderProcess(self._limits)
        self._busy = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.close()
            self._process = None

    @property
    def pid(self) -> int | None:
        """The id of the process, if there is one now."""
        return self._process.pid if self._process else None

    @contextmanager
    def open(
        self,
        file: AudioFile,
        *,
        max_seconds: float,
        separate_channels: bool = False,
        start_seconds: float = 0.0,
    ) -> Iterator["Recording"]:
        """A recording, until the block is left; see `AudioReader`.

        Raises, here and from `blocks`, an `AudioError` for a file that can never be transcribed,
        and as it is what the file raises.
        """
        if self._busy:
            raise RuntimeError("a decoder reads one recording at a time: leave the last one first")
        if self._process is not None and not self._process.alive:
            self.close()
        self._process = self._process or DecoderProcess(self._limits)
        size = file.seek(0, io.SEEK_END)
        if size == 0:
            raise EmptyFileError
        order = Open(size, max_seconds, separate_channels, start_seconds)
        recording = Recording(self._process, file, order)
        self._busy = True
        try:
            recording.begin()
            yield recording
        finally:
            self._busy = False
            if not recording.end():
                self.close()


class Recording:
    """One recording as a decoder reads it, on to its end; see `Decoder.open`.

    A thread serves the decoder: it reads the file for it and takes in what it sends.
    """

    def __init__(self, process: DecoderProcess, file: AudioFile, order: Open) -> None:
        self._process = process
        self._file = file
        self._order = order
        self._facts: AudioFacts | None = None
        self._room = threading.Semaphore(BLOCKS_AHEAD_MAX)
        self._arrived: SimpleQueue[Opened | tuple[Audio, bytearray] | Ended | BaseException] = (
            SimpleQueue()
        )
        self._finished = False
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="decoder", daemon=True)

    @property
    def facts(self) -> AudioFacts:
        """What is known with the blocks taken so far; final once `blocks` has ended."""
        if self._facts is None:
            raise RuntimeError("nothing is known of a recording that did not begin")
        return self._facts

    def blocks(self) -> Iterator[Block]:
        """Shape (channels, samples), as `AudioReader.blocks`. Raises as `Decoder.open` says."""
        while (block := self._next()) is not None:
            yield block

    def begin(self) -> None:
        """Have the decoder open the file, and wait for it."""
        self._thread.start()
        self._next()

    def end(self) -> bool:
        """Stop reading; returns whether the process is fit for another recording."""
        if not self._finished:
            self._left.set()
            self._process.end()
            self._room.release()
        if self._thread.is_alive():
            self._thread.join()
        return self._finished

    def _next(self) -> Block | None:
        """The block that came next; none where the recording was opened or has ended."""
        arrived = self._arrived.get()
        if isinstance(arrived, BaseException):
            self._arrived.put(arrived)
            raise arrived
        if isinstance(arrived, tuple):
            self._room.release()
            audio, samples = arrived
            self._facts = audio.facts
            return np.frombuffer(samples, np.float32).reshape(audio.channels, -1)
        self._facts = arrived.facts
        if isinstance(arrived, Ended):
            self._arrived.put(arrived)
        return None

    def _serve(self) -> None:
        try:
            self._process.wait_until_ready()
            self._process.line.send(self._order)
            while not self._finished:
                self._answer()
        except LineError as error:
            self._arrived.put(self._process.blame(error))
        except BaseException as failure:
            self._arrived.put(failure)

    def _answer(self) -> None:
        message, body = self._process.line.receive()
        match message:
            case Read():
                self._process.line.send(Content(), self._content(message))
            case Opened():
                self._arrived.put(message)
            case Audio():
                self._room.acquire()
                if self._left.is_set():
                    # More blocks may have come before the process ended: none must wait for room.
                    self._room.release()
                self._arrived.put((message, body))
            case Ended():
                self._finished = True
                self._arrived.put(message)
            case Refused(error=error, fields=fields) if error in ERRORS:
                refusal = ERRORS[error](**fields)
                self._finished = True
                self._arrived.put(refusal)
            case Broken(traceback=traceback):
                raise DecoderBrokenError(traceback)
            case _:
                raise Nonsense(repr(message))

    def _content(self, wanted: Read) -> bytes:
        self._file.seek(wanted.offset, io.SEEK_SET)
        content = self._file.read(wanted.size)
        if not content and wanted.offset < self._order.size:
            raise EOFError(f"the file ended at byte {wanted.offset} of {self._order.size}")
        return content
