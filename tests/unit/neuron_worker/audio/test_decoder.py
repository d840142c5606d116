"""Recordings read by a decoder process."""

import fcntl
import io
import sys
import termios
import threading

import numpy as np
import pytest

from neuron_worker.audio import (
    AudioReader,
    AudioTooLongError,
    Decoder,
    EmptyFileError,
    Limits,
    NotAudioError,
)
from neuron_worker.audio.decoder import BLOCKS_AHEAD_MAX
from tests import media
from tests.decoding import WatchedFile, assert_fit, read_with
from tests.media import KINDS, encoded
from tests.running import wait_until


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


@pytest.mark.timeout(60)
def test_a_recording_can_be_left_while_blocks_are_on_the_line(
    decoder: Decoder, files: dict[str, bytes]
) -> None:
    """Nobody takes any, and the file is read at once: the decoder sends until the line is full."""
    lean = encoded(media.signal(4_000, seconds=60), "wav", "pcm_u8", 4_000)
    with decoder.open(io.BytesIO(lean), max_seconds=60) as recording:
        line = recording._process.line._connection

        def several_on_the_line() -> bool:
            waiting = bytearray(4)
            fcntl.ioctl(line, termios.FIONREAD, waiting)
            # How much more than a block fits on the line is up to the kernel.
            return int.from_bytes(waiting, sys.byteorder) > 1.05 * 4 * 16_000

        wait_until("more than one block is on the line", several_on_the_line)
    assert_fit(decoder, files["wav"])


@pytest.mark.parametrize("at_read", [1, 20])
@pytest.mark.parametrize("failure", [ConnectionResetError("peer"), KeyboardInterrupt()], ids=type)
def test_what_the_file_raises_comes_through_as_it_is(
    decoder: Decoder,
    files: dict[str, bytes],
    long_wav: bytes,
    failure: BaseException,
    at_read: int,
) -> None:
    def fail() -> None:
        raise failure

    with pytest.raises(type(failure)) as caught:
        read_with(decoder, WatchedFile(long_wav, at_read, fail))
    assert caught.value is failure
    assert_fit(decoder, files["wav"])


def test_a_file_that_ends_before_its_size_is_a_failure(decoder: Decoder, long_wav: bytes) -> None:
    file = WatchedFile(long_wav, 20, lambda: file.truncate(file.tell()))
    with pytest.raises(EOFError, match="the file ended at byte"):
        read_with(decoder, file)
