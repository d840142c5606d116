import io
import json
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from neuron_worker.audio import (
    AudioReader,
    AudioTooLongError,
    NotAudioError,
    TooManyChannelsError,
)
from neuron_worker.contract import Reason
from tests.media import (
    BURSTS,
    KINDS,
    SECONDS,
    Samples,
    bursts,
    encoded,
    id3,
    read,
    signal,
)

RECORDINGS = Path(__file__).parents[3] / "recordings"


@pytest.mark.parametrize("kind", KINDS)
def test_any_container_becomes_16_khz_mono_in_time(files: dict[str, bytes], kind: str) -> None:
    samples, facts = read(files[kind])
    assert facts.seconds == pytest.approx(SECONDS, abs=0.1)
    assert bursts(samples) == pytest.approx(BURSTS, abs=0.06)
    assert facts.channels == KINDS[kind][3]
    assert (facts.lost_seconds, facts.bad_packets, facts.warnings) == (0.0, 0, ())


def test_the_recordings_have_their_stated_lengths() -> None:
    for reference in json.loads((RECORDINGS / "references.json").read_text()):
        samples, facts = read((RECORDINGS / reference["file"]).read_bytes())
        assert facts.seconds == pytest.approx(reference["seconds"], abs=0.1), reference["file"]
        assert facts.channels == reference["channels"]
        assert facts.warnings == ()
        if reference["silence"]:
            first, last = (round(at * 16_000) for at in reference["silence"])
            assert np.abs(samples[first + 800 : last - 800]).max() < 1e-4


@pytest.mark.parametrize("kind", ["wav", "8 kHz mu-law", "24 bit 96 kHz", "flac"])
def test_not_a_sample_is_lost(files: dict[str, bytes], kind: str) -> None:
    samples, _ = read(files[kind])
    assert samples.size == SECONDS * 16_000


def test_channels_are_averaged() -> None:
    stereo = np.stack([np.full(16_000, 0.5), np.full(16_000, -0.25)]).astype(np.float32)
    samples, _ = read(encoded(stereo, "wav", "pcm_f32le", 16_000))
    assert samples == pytest.approx(np.full(16_000, 0.125), abs=1e-6)


def tones(channels: int, rate: int = 44_100, seconds: float = 3.0) -> Samples:
    """One pitch in each channel: 300 Hz, 600 Hz, 900 Hz and so on."""
    times = np.arange(int(seconds * rate)) / rate
    pitches = 300.0 * np.arange(1, channels + 1)
    return (0.5 * np.sin(2 * np.pi * pitches[:, np.newaxis] * times)).astype(np.float32)


def pitches(channel: Samples) -> dict[int, float]:
    """The amplitude of each pitch of `tones` that is heard, by its channel's number."""
    spectrum = np.abs(np.fft.rfft(channel)) / channel.size * 2
    hertz = np.fft.rfftfreq(channel.size, 1 / 16_000)
    heard = {number: spectrum[np.abs(hertz - 300 * number) < 20].max() for number in range(1, 9)}
    return {number: float(level) for number, level in heard.items() if level > 0.01}


def separate(content: bytes) -> Samples:
    with AudioReader(io.BytesIO(content), max_seconds=60, separate_channels=True) as reader:
        samples = np.concatenate(list(reader.blocks()), axis=1)
        assert samples.shape[1] / 16_000 == pytest.approx(reader.facts.seconds, abs=0.01)
    return samples


@pytest.mark.parametrize("channels", [1, 2, 6, 8])
@pytest.mark.parametrize("kind", [("wav", "pcm_s16le"), ("flac", "flac"), ("ipod", "aac")], ids=str)
def test_channels_are_kept_apart(channels: int, kind: tuple[str, str]) -> None:
    content = encoded(tones(channels), *kind, 44_100, bit_rate=128_000 * channels)
    samples = separate(content)
    assert len(samples) == channels
    audible = list(range(1, channels + 1))
    if kind[1] == "aac" and channels > 2:
        # AAC's channel for low frequencies holds nothing above a few hundred hertz.
        audible.remove(4)
    for number in audible:
        assert list(pitches(samples[number - 1])) == [number]


def test_in_the_mix_of_a_film_the_centre_is_heard_best_and_the_rumble_not() -> None:
    samples, _ = read(encoded(tones(6), "wav", "pcm_s16le", 44_100))
    heard = pitches(samples)
    left, right, centre, behind_left, behind_right = (heard[number] for number in (1, 2, 3, 5, 6))
    assert 4 not in heard
    assert left == pytest.approx(right, rel=0.02)
    assert behind_left == pytest.approx(behind_right, rel=0.02)
    assert left / centre == pytest.approx(0.7071, rel=0.02)
    assert behind_left / centre == pytest.approx(0.5, rel=0.02)


def test_separate_channels_that_change_their_number_lose_nothing() -> None:
    stereo, mono, many = (
        encoded(tones(channels), "mpegts", "aac", 44_100, bit_rate=128_000 * channels)
        for channels in (2, 1, 6)
    )
    samples = separate(stereo + mono + many)
    assert samples.shape == (2, pytest.approx(9 * 16_000, abs=3_000))
    first, second, third = (
        [list(pitches(channel[start * 16_000 : (start + 2) * 16_000])) for channel in samples]
        for start in (0, 3, 7)
    )
    assert first == [[1], [2]]
    assert second == [[1], []]
    assert third == [[1, 3, 5], [2, 6]]


def test_more_channels_than_can_be_transcribed_apart_are_mixed_or_refused() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((16, 2, 16_000, 0, "NONE", ""))
        out.writeframes(bytes(16 * 2 * 16_000))
    with pytest.raises(TooManyChannelsError, match="16 channels, of which no more than 8") as error:
        separate(file.getvalue())
    assert error.value.reason is Reason.UNSUPPORTED_OPTION
    _, facts = read(file.getvalue())
    assert facts.seconds == pytest.approx(1)


def test_the_sound_of_a_film_is_read_without_its_pictures() -> None:
    film = encoded(signal(44_100), "mp4", "aac", 44_100, video=True)
    samples, facts = read(film)
    assert bursts(samples) == pytest.approx(BURSTS, abs=0.05)
    assert (facts.codec, facts.warnings) == ("aac", ())


def test_sound_that_starts_after_its_film_keeps_its_place() -> None:
    film = encoded(signal(44_100), "mp4", "aac", 44_100, video=True, audio_from=3.0)
    samples, facts = read(film)
    assert bursts(samples) == pytest.approx([start + 3 for start in BURSTS], abs=0.05)
    assert facts.lost_seconds == 0.0


def test_a_stream_whose_clock_starts_late_starts_at_zero() -> None:
    samples, _ = read(encoded(signal(44_100), "mpegts", "aac", 44_100, audio_from=500.0))
    assert bursts(samples) == pytest.approx(BURSTS, abs=0.05)


def test_rate_and_channels_may_change_on_the_way(files: dict[str, bytes]) -> None:
    other = encoded(signal(22_050), "mp3", "libmp3lame", 22_050, bit_rate=64_000)
    samples, facts = read(files["mp3"] + other)
    again = [start + SECONDS for start in BURSTS]
    assert bursts(samples) == pytest.approx([*BURSTS, *again], abs=0.1)
    assert facts.seconds == pytest.approx(2 * SECONDS, abs=0.15)


def test_a_tag_that_is_not_unicode_is_no_reason_to_fail(files: dict[str, bytes]) -> None:
    title = b"\x03\xe9t\xe9"
    frame = b"TIT2" + bytes([0, 0, 0, len(title)]) + b"\x00\x00" + title
    _, facts = read(id3(frame) + files["mp3"])
    assert facts.seconds == pytest.approx(SECONDS, abs=0.1)


def test_a_recording_declared_too_long_is_refused_before_it_is_decoded(
    files: dict[str, bytes],
) -> None:
    with pytest.raises(AudioTooLongError, match="longer than the 19 s allowed") as caught:
        AudioReader(io.BytesIO(files["wav"]), max_seconds=19)
    assert caught.value.reason is Reason.TOO_LONG


def test_a_recording_of_unknown_length_is_refused_where_it_gets_too_long(
    files: dict[str, bytes],
) -> None:
    blocks: list[Any] = []
    with (
        AudioReader(io.BytesIO(files["bare aac"]), max_seconds=10) as reader,
        pytest.raises(AudioTooLongError),
    ):
        blocks.extend(reader.blocks())
    assert 8 * 16_000 < sum(block.size for block in blocks) <= 10 * 16_000


class FailingFile(io.BytesIO):
    """Raises from a byte on, as a file in S3 does when the network goes."""

    def __init__(self, content: bytes, fails_at: int, failure: BaseException | None) -> None:
        super().__init__(content)
        self.fails_at = fails_at
        self.failure = failure

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() >= self.fails_at:
            if self.failure is None:
                return b""
            raise self.failure
        return super().read(size)


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("kind", ["mp3", "m4a", "wav", "opus"])
@pytest.mark.parametrize("failure", [ConnectionResetError("peer"), KeyboardInterrupt()], ids=type)
def test_a_failure_of_the_file_is_no_fault_of_the_audio(
    files: dict[str, bytes], kind: str, failure: BaseException, share: float
) -> None:
    content = files[kind]
    file = FailingFile(content, int(len(content) * share), failure)
    with pytest.raises(type(failure)) as caught, AudioReader(file, max_seconds=60) as reader:
        list(reader.blocks())
    assert caught.value is failure


def test_a_file_that_ends_before_its_size_is_a_failure(files: dict[str, bytes]) -> None:
    file = FailingFile(files["wav"], len(files["wav"]) // 2, None)
    with (
        pytest.raises(EOFError, match="the file ended at byte"),
        AudioReader(file, max_seconds=60) as reader,
    ):
        list(reader.blocks())


def test_a_file_that_names_another_file_cannot_open_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, bytes]
) -> None:
    secret = tmp_path / "secret.wav"
    secret.write_bytes(files["wav"])
    monkeypatch.chdir(tmp_path)
    concat = b"ffconcat version 1.0\nfile 'secret.wav'\n"
    with av.open(io.BytesIO(concat)) as unguarded:
        assert unguarded.streams.audio, "FFmpeg would open it, were it not kept from it"
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:20\n#EXTINF:20,\n{secret}\n#EXT-X-ENDLIST\n"
    session = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio 9 RTP/AVP 0\n"
    for content in (concat, playlist.encode(), session.encode()):
        with pytest.raises(NotAudioError):
            read(content)
