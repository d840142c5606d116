"""How odd files are made, what can happen to a file, and what may become of it then.

The signal is ten seconds long and loud at 1, 5 and 9 s.
"""

import io
import struct
import uuid
import wave
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream

from neuron_worker.audio import AudioError
from tests.media import KINDS, Samples, add_video, encoded, signal

SECONDS = 10.0
LOUD_AT = (1.0, 5.0, 9.0)

CUT_OFF = "the file may have been cut off"
SILENCED = "were unreadable and replaced by silence"
SKIPPED = "unreadable packets were skipped"


@dataclass(frozen=True, slots=True)
class Heard:
    """The recording is read; by default as if nothing were wrong with it."""

    seconds: float = SECONDS
    within: float = 0.1
    loud_at: tuple[float, ...] | None = LOUD_AT
    """None where nothing can be said of it."""
    lost: tuple[float, float] = (0.0, 0.0)
    """Between how many seconds."""
    warnings: tuple[str, ...] = ()
    """A part of each warning there is."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The recording can never be transcribed."""

    error: type[AudioError]
    words: str | None = None


Make = Callable[[], bytes]


@cache
def made(
    container: str,
    codec: str,
    rate: int,
    channels: int = 1,
    bit_rate: int | None = None,
    **muxer: str,
) -> bytes:
    """The signal as FFmpeg writes it."""
    samples = signal(rate, channels, SECONDS)
    return encoded(samples, container, codec, rate, bit_rate=bit_rate, options=muxer)


@cache
def kind(name: str) -> bytes:
    """The signal as a file of one of the common kinds."""
    container, codec, rate, channels, bit_rate = KINDS[name]
    return made(container, codec, rate, channels, bit_rate)


def wav(samples: Samples, rate: int = 16_000, codec: str = "pcm_f32le") -> bytes:
    return encoded(samples, "wav", codec, rate)


def first(content: bytes, share: float) -> bytes:
    """An upload or a recorder that stopped early."""
    return content[: int(len(content) * share)]


def without(content: bytes, start: float, end: float) -> bytes:
    """A stretch is missing, and the rest has moved up."""
    return content[: int(len(content) * start)] + content[int(len(content) * end) :]


def zeroed(content: bytes, start: float, end: float) -> bytes:
    """A stretch was never written: a bad disk, a download with holes."""
    low, high = int(len(content) * start), int(len(content) * end)
    return content[:low] + bytes(high - low) + content[high:]


def flipped(content: bytes, start: float, end: float, count: int = 40) -> bytes:
    """Single bytes are wrong."""
    rng = np.random.default_rng(7)
    damaged = bytearray(content)
    for at in rng.integers(int(len(content) * start), int(len(content) * end), count):
        damaged[at] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


def replaced(content: bytes, old: bytes, new: bytes) -> bytes:
    """The first place only, and it must be there."""
    assert len(old) == len(new)
    at = content.index(old)
    return content[:at] + new + content[at + len(old) :]


def with_data_length(content: bytes, length: int) -> bytes:
    """A WAV whose header lies about its length."""
    at = content.index(b"data") + 4
    return content[:at] + struct.pack("<I", length) + content[at + 4 :]


def two_languages() -> bytes:
    """Two audio streams and subtitles beside the picture; the second one is silent."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        streams = [out.add_stream("flac", rate=16_000, layout="mono") for _ in range(2)]
        spoken = io.BytesIO(b"1\n00:00:01,000 --> 00:00:03,000\nGood morning.\n")
        lines = av.open(spoken, "r", format="srt")
        subtitles = out.add_stream_from_template(lines.streams.subtitles[0])
        sound = signal(16_000, 1, SECONDS)
        for stream, samples in zip(streams, (sound, 0 * sound), strict=True):
            frame = av.AudioFrame.from_ndarray(
                (samples * 32_767).astype(np.int16), format="s16", layout="mono"
            )
            frame.sample_rate, frame.pts = 16_000, 0
            resampler = av.AudioResampler(format=stream.format, frame_size=4_096)
            for part in [*resampler.resample(frame), *resampler.resample(None), None]:
                out.mux(stream.encode(part))
        for line in lines.demux():
            if line.size:
                line.stream = subtitles
                out.mux(line)
    return file.getvalue()


def film_without_sound() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as out:
        add_video(out, 2)
    return file.getvalue()


def photograph(codec: str) -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="image2pipe") as out:
        picture = cast(VideoStream, out.add_stream(codec, rate=1))
        picture.width = picture.height = 64
        picture.pix_fmt = {"mjpeg": "yuvj420p", "png": "rgb24"}[codec]
        image = np.random.default_rng(1).integers(0, 255, (64, 64, 3), np.uint8)
        out.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        out.mux(picture.encode(None))
    return file.getvalue()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as out:
        out.writestr("recording.wav", kind("wav"))
    return file.getvalue()


def empty_wav() -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
    return file.getvalue()


def without_audio_data() -> bytes:
    """An MP4 of which every byte of sound is zero."""
    content = kind("m4a")
    start, end = content.index(b"mdat") + 4, content.index(b"moov") - 4
    return content[:start] + bytes(end - start) + content[end:]


def protected_wma() -> bytes:
    """With the Content Encryption Object of the ASF specification, section 3.14."""
    content = kind("wma")

    def sized(value: bytes) -> bytes:
        return struct.pack("<I", len(value)) + value

    guid = uuid.UUID("2211B3FB-BD23-11D2-B4B7-00A0C955FC6E").bytes_le
    body = sized(b"secret") + sized(b"DRM\0") + sized(b"key\0") + sized(b"http://licence/\0")
    inserted = guid + struct.pack("<Q", 24 + len(body)) + body
    size, count = struct.unpack_from("<QI", content, 16)
    header = content[:16] + struct.pack("<QI", size + len(inserted), count + 1)
    return header + content[28:30] + inserted + content[30:]


def protected_webm() -> bytes:
    """With a ContentEncodings element in its only track (RFC 9559, section 5.1.4.1.31)."""
    content = kind("webm")

    def element(name: str, body: bytes) -> bytes:
        return bytes.fromhex(name) + (len(body) | 1 << 56).to_bytes(8, "big") + body

    def body_of(at: int) -> tuple[int, int]:
        """Where the body of an element begins, behind a name that ends before `at`, and ends."""
        width = 9 - content[at].bit_length()
        length = int.from_bytes(content[at : at + width], "big") & (1 << 7 * width) - 1
        return at + width, at + width + length

    mentioned = content.index(bytes.fromhex("1654AE6B"))
    tracks = content.index(bytes.fromhex("1654AE6B"), mentioned + 4)
    entry, tracks_end = body_of(tracks + 4)
    assert content[entry] == 0xAE
    body, entry_end = body_of(entry + 1)
    key = element("5035", element("47E1", b"\x05") + element("47E2", b"k" * 16))
    encodings = element("6D80", element("6240", element("5033", b"\x01") + key))
    fresh = element("AE", content[body:entry_end] + encodings) + content[entry_end:tracks_end]
    return content[:tracks] + element("1654AE6B", fresh) + content[tracks_end:]


def encrypted_mp4() -> bytes:
    return made(
        "mp4",
        "aac",
        44_100,
        2,
        128_000,
        encryption_scheme="cenc-aes-ctr",
        encryption_key="0" * 31 + "1",
        encryption_kid="1" * 32,
    )


def noise(level: float, seconds: float = SECONDS) -> Samples:
    loud = level * np.random.default_rng(5).standard_normal((1, int(16_000 * seconds)))
    return loud.astype(np.float32)


def not_finite() -> Samples:
    samples = signal(16_000, 1, SECONDS)
    samples[:, 48_000:50_000] = np.nan
    samples[:, 50_000:52_000] = np.inf
    return samples
