"""How a decoder process ends, with real processes, real signals and files that never end."""

import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from neuron_worker.audio import (
    AudioError,
    Decoder,
    DecoderCrashedError,
    DecoderKilledError,
    DecoderStarvedError,
    DecoderStuckError,
    Limits,
)
from neuron_worker.contract import Reason
from tests.decoding import NeverEnding, WatchedFile, assert_fit, read_with

END_SECONDS = 10.0
"""How long a process that was told to end may take on a busy machine."""

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
