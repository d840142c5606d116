"""Files for a decoder process, and whether it is fit afterwards."""

import io
from collections.abc import Callable

import numpy as np

from neuron_worker.audio import AudioFacts, AudioFile, Decoder
from tests.media import Samples


def read_with(decoder: Decoder, file: AudioFile) -> tuple[Samples, AudioFacts]:
    with decoder.open(file, max_seconds=3600) as recording:
        samples = np.concatenate(list(recording.blocks()), axis=-1)
    return samples, recording.facts


def assert_fit(decoder: Decoder, content: bytes) -> None:
    """Whatever happened before, the next file is read."""
    samples, facts = read_with(decoder, io.BytesIO(content))
    assert samples.shape[-1] == round(facts.seconds * 16_000) > 0


class WatchedFile(io.BytesIO):
    """Does something at its nth read, in the middle of the decoder's work."""

    def __init__(self, content: bytes, at_read: int, act: Callable[[], object]) -> None:
        super().__init__(content)
        self.reads = 0
        self.at_read = at_read
        self.act = act

    def read(self, size: int | None = -1, /) -> bytes:
        self.reads += 1
        if self.reads == self.at_read:
            self.act()
        return super().read(size)


class NeverEnding(io.RawIOBase):
    """A file of so many bytes that begins with `start` and goes on with `pattern` for ever."""

    def __init__(self, start: bytes, pattern: bytes, size: int) -> None:
        super().__init__()
        self.start = start
        self.pattern = pattern * (1 + 1_000_000 // len(pattern))
        self.length = len(pattern)
        self.size = size
        self.position = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self.position = offset + {io.SEEK_SET: 0, io.SEEK_END: self.size}[whence]
        return self.position

    def read(self, size: int = -1, /) -> bytes:
        behind = self.position - len(self.start)
        if behind < 0:
            content = self.start[self.position :][:size]
        else:
            at = behind % self.length
            content = self.pattern[at : at + min(size, self.size - self.position)]
        self.position += len(content)
        return content
