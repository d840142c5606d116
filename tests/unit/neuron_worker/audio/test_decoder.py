"""The decoder process, with real processes, real signals and files that never end."""

import io
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from neuron_worker.audio import (
    AudioError,
    AudioFacts,
    AudioFile,
    AudioReader,
    AudioTooLongError,
    Decoder,
    DecoderCrashedError,
    DecoderKilledError,
    DecoderStarvedError,
    DecoderStuckError,
    EmptyFileError,
    Limits,
    NotAudioError,
)
from neuron_worker.audio.decoder import BLOCKS_AHEAD_MAX
from neuron_worker.contract import Reason
from tests import media
from tests.media import KINDS, Samples, encoded

END_SECONDS = 10.0
"""How long a process that was told to end may take on a busy machine."""


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as decoder:
        yield decoder


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


@pytest.fixture(scope="module")
def long_wav() -> bytes:
    """Ten minutes, 19 MB: much more than what is decoded ahead."""
    container, codec, rate, channels, _ = KINDS["wav"]
    return encoded(media.signal(rate, channels, seconds=600), container, codec, rate)


@pytest.mark.parametrize("kind", KINDS)
def test_the_process_gives_what_the_reader_gives(
    decoder: Decoder, files: dict[str, bytes], kind: str
) -> None:
    with AudioReader(io.BytesIO(files[kind]), max_seconds=60) as reader:
        expected = np.concatenate(list(reader.blocks()), axis=-1)
    samples, facts = read_with(decoder, io.BytesIO(files[kind]))
    assert np.array_equal(samples, expected)
    assert facts == reader.facts


def test_the_process_keeps_channels_apart(decoder: Decoder) -> None:
    left = media.signal(16_000, seconds=3)[0]
    stereo = np.stack([left, -0.5 * left])
    content = encoded(stereo, "wav", "pcm_f32le", 16_000)
    with decoder.open(io.BytesIO(content), max_seconds=9, separate_channels=True) as recording:
        samples = np.concatenate(list(recording.blocks()), axis=1)
    assert samples == pytest.approx(stereo, abs=1e-6)


def test_one_process_reads_file_after_file(decoder: Decoder, files: dict[str, bytes]) -> None:
    assert_fit(decoder, files["mp3"])
    pid = decoder.pid
    for content, expected in ((b"no recording" * 100, NotAudioError), (b"", EmptyFileError)):
        with pytest.raises(expected):
            read_with(decoder, io.BytesIO(content))
    with (
        pytest.raises(AudioTooLongError, match="longer than the 19 s allowed"),
        decoder.open(io.BytesIO(files["wav"]), max_seconds=19),
    ):
        pass
    assert decoder.pid == pid


def test_a_recording_left_early_does_not_disturb_the_next(
    decoder: Decoder, files: dict[str, bytes], long_wav: bytes
) -> None:
    with decoder.open(io.BytesIO(long_wav), max_seconds=3600) as recording:
        next(recording.blocks())
        with (
            pytest.raises(RuntimeError, match="one recording at a time"),
            decoder.open(io.BytesIO(long_wav), max_seconds=3600),
        ):
            pass
    assert recording.facts.seconds == pytest.approx(1, abs=0.2)
    assert_fit(decoder, files["flac"])


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
            content = self.pattern[behind % self.length :][: min(size, self.size - self.position)]
        self.position += len(content)
        return content


PADDING_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * 184
"""A null packet of a transport stream (ISO/IEC 13818-1, 2.4.1): it holds nothing."""


def test_a_decoder_that_computes_without_end_is_cut_off(files: dict[str, bytes]) -> None:
    """FFmpeg looks for audio in 1 EB of padding."""
    endless = NeverEnding(files["transport stream"], PADDING_PACKET, 2**60)
    with Decoder(Limits(cpu_seconds=1)) as decoder:
        with pytest.raises(DecoderStuckError, match="stuck in the recording") as caught:
            read_with(decoder, endless)
        assert caught.value.reason is Reason.DECODER_FAILED
        assert decoder.pid is None
        assert_fit(decoder, files["transport stream"])


def huge_sample_table() -> NeverEnding:
    """An MP4 whose index counts 60 million samples, of which FFmpeg wants to know each size."""

    def box(kind: bytes, *contents: bytes, size: int | None = None) -> bytes:
        content = b"".join(contents)
        return (size or 8 + len(content)).to_bytes(4, "big") + kind + content

    count = 60_000_000
    rest = 4 * count
    stsz = box(b"stsz", bytes(8), count.to_bytes(4, "big"), size=rest + 20)
    stbl = box(b"stbl", stsz, size=rest + 28)
    minf = box(b"minf", stbl, size=rest + 36)
    handler = box(b"hdlr", bytes(8), b"soun", bytes(12))
    inside = handler + minf
    mdia = box(b"mdia", inside, size=rest + 44 + len(handler))
    trak = box(b"trak", mdia, size=rest + 52 + len(handler))
    moov = box(b"moov", trak, size=rest + 60 + len(handler))
    start = box(b"ftyp", b"M4A ", bytes(4)) + moov
    return NeverEnding(start, bytes(1), len(start) + rest)


def test_a_decoder_that_wants_too_much_memory_is_stopped(files: dict[str, bytes]) -> None:
    with Decoder(Limits(memory_mib=400)) as decoder:
        assert_fit(decoder, files["m4a"])
        with pytest.raises(DecoderStarvedError, match="more than 400 MiB") as caught:
            read_with(decoder, huge_sample_table())
        assert caught.value.reason is Reason.DECODER_FAILED
        assert_fit(decoder, files["m4a"])


@pytest.mark.parametrize("at_read", [1, 20])
@pytest.mark.parametrize(
    ("number", "expected", "words", "reason"),
    [
        (signal.SIGSEGV, DecoderCrashedError, "Segmentation fault", Reason.DECODER_FAILED),
        (signal.SIGABRT, DecoderCrashedError, "Aborted", Reason.DECODER_FAILED),
        (signal.SIGKILL, DecoderKilledError, "killed from outside", Reason.OUT_OF_MEMORY),
        (signal.SIGSTOP, DecoderStuckError, "stuck", Reason.DECODER_FAILED),
    ],
)
def test_a_decoder_that_dies_or_hangs_is_told_from_the_file(
    long_wav: bytes,
    files: dict[str, bytes],
    number: int,
    expected: type[AudioError],
    words: str,
    reason: Reason,
    at_read: int,
) -> None:
    with Decoder(Limits(silence_seconds=2)) as decoder:
        assert_fit(decoder, files["wav"])
        pid = decoder.pid
        assert pid is not None
        file = WatchedFile(long_wav, at_read, lambda: os.kill(pid, number))
        with pytest.raises(expected, match=words) as caught:
            read_with(decoder, file)
        assert caught.value.reason is reason
        assert_fit(decoder, files["wav"])
        assert decoder.pid != pid


def test_a_decoder_that_died_between_two_files_is_replaced(files: dict[str, bytes]) -> None:
    with Decoder() as decoder:
        assert_fit(decoder, files["wav"])
        assert decoder.pid is not None
        watch = os.pidfd_open(decoder.pid)
        os.kill(decoder.pid, signal.SIGKILL)
        assert_ended(watch)
        assert_fit(decoder, files["wav"])


def test_signals_that_end_a_worker_leave_its_decoder_at_work(
    decoder: Decoder, files: dict[str, bytes], long_wav: bytes
) -> None:
    assert_fit(decoder, files["wav"])
    pid = decoder.pid
    assert pid is not None
    assert os.getpgid(pid) != os.getpgid(0)

    def stop() -> None:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGINT)

    _, facts = read_with(decoder, WatchedFile(long_wav, 5, stop))
    assert facts.seconds == pytest.approx(600)
    assert decoder.pid == pid


def test_a_slow_file_and_a_slow_taker_are_not_the_decoders_fault(files: dict[str, bytes]) -> None:
    """Both wait until the decoder has been idle for longer than it may be silent."""
    silence_seconds = 1.0
    longer = threading.Event()
    with Decoder(Limits(silence_seconds=silence_seconds)) as decoder:
        file = WatchedFile(files["wav"], 2, lambda: longer.wait(2 * silence_seconds))
        with decoder.open(file, max_seconds=60) as recording:
            blocks = recording.blocks()
            count = next(blocks).size
            longer.wait(2 * silence_seconds)
            count += sum(block.size for block in blocks)
        assert count == 20 * 16_000


def test_no_more_is_decoded_ahead_than_may_wait(decoder: Decoder, long_wav: bytes) -> None:
    """The file is read as far as 30 blocks, the pipe and the decoder's own buffers go."""
    file = WatchedFile(long_wav, 0, lambda: None)
    with decoder.open(file, max_seconds=3600) as recording:
        blocks = recording.blocks()
        for _ in range(100):
            next(blocks)
    seconds_read = file.reads * 256 * 1024 / 32_000
    assert 100 < seconds_read < 100 + BLOCKS_AHEAD_MAX + 30


def test_the_process_can_open_nothing_and_knows_no_secret(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "do-not-tell")
    with Decoder() as decoder:
        assert_fit(decoder, files["wav"])
        pid = decoder.pid
        with open(f"/proc/{pid}/environ", "rb") as environment:
            assert b"do-not-tell" not in environment.read()
        with open(f"/proc/{pid}/limits") as limits:
            told = {line[:25].strip(): line[25:].split()[:2] for line in limits}
        assert told["Max open files"] == ["3", "3"]
        assert told["Max file size"] == ["0", "0"]
        assert told["Max data size"] == [str(1024**3)] * 2
        assert {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in (1, 2)} == {os.devnull}


PARENT = """
import io, signal, sys
from neuron_worker.audio import Decoder
class Waiting(io.BytesIO):
    def read(self, size=-1):
        if self.tell() > 1_000_000:
            print(decoder.pid, flush=True)
            signal.pause()
        return super().read(size)
decoder = Decoder()
with decoder.open(Waiting(open(sys.argv[1], "rb").read()), max_seconds=3600) as recording:
    for block in recording.blocks():
        pass
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_leaves_no_decoder_behind(
    tmp_path: Path, long_wav: bytes, number: signal.Signals
) -> None:
    path = tmp_path / "long.wav"
    path.write_bytes(long_wav)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as worker:
        assert worker.stdout
        watch = os.pidfd_open(int(worker.stdout.readline()))
        worker.send_signal(number)
        assert_ended(watch)
        worker.kill()


SPINNING = """
from neuron_worker.audio.decoder_main import end_with_the_worker
end_with_the_worker()
print("spinning", flush=True)
while True:
    pass
"""


def test_a_decoder_that_computes_without_end_dies_with_its_worker() -> None:
    """It never looks at its line again, so the kernel must end it."""
    with subprocess.Popen(
        [sys.executable, "-c", SPINNING], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdin
        process.stdout.readline()
        process.stdin.close()
        try:
            assert process.wait(END_SECONDS) == -signal.SIGIO
        finally:
            process.kill()


def assert_ended(watch: int) -> None:
    """The process behind a file descriptor has ended, or does now."""
    ended, _, _ = select.select([watch], [], [], END_SECONDS)
    os.close(watch)
    assert ended, "the process is still there"
