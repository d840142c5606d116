"""The file as FFmpeg reads it."""

import io
from typing import Protocol


class AudioFile(Protocol):
    """A seekable binary file, such as `open(path, "rb")`."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end only."""

    def seek(self, offset: int, whence: int, /) -> int:
        """Move; returns the position from the start."""


class Source:
    """Stands between the file and FFmpeg, which takes any failed read for damaged audio.

    A failure of the file is kept, FFmpeg sees the end of the file, and `check` raises what was
    kept. Seeking costs nothing: the file is moved when it is next read.
    """

    def __init__(self, file: AudioFile) -> None:
        self._file = file
        self.size = file.seek(0, io.SEEK_END)
        self._file_position = self.size
        self._position = 0
        self._failure: BaseException | None = None

    def check(self) -> None:
        """Raise what the file raised, if it did."""
        if self._failure is not None:
            raise self._failure

    def read(self, size: int) -> bytes:
        """Called by FFmpeg; never raises."""
        if self._failure is not None:
            return b""
        try:
            if self._file_position != self._position:
                self._file_position = self._file.seek(self._position, io.SEEK_SET)
            content = self._file.read(size)
            if not content and self._position < self.size:
                raise EOFError(f"the file ended at byte {self._position} of {self.size}")
        except BaseException as failure:
            self._failure = failure
            return b""
        self._position += len(content)
        self._file_position = self._position
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Called by FFmpeg; never raises. -1 for a place before the start."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            return -1
        self._position = base + offset
        return self._position

    def peek(self, offset: int, size: int) -> bytes:
        """At most so many bytes from another place, where FFmpeg does not read next."""
        position, self._position = self._position, offset
        content = self.read(size)
        self._position = position
        return content

    def tell(self) -> int:
        """The position that FFmpeg reads next."""
        return self._position
