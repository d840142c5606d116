"""Recordings made by FFmpeg's encoders, with a signal whose times can be found again."""

import io
from fractions import Fraction
from typing import cast

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.audio.stream import AudioStream

from neuron_worker.audio import AudioFacts, AudioReader

SECONDS = 20.0
BURSTS = (1.0, 5.0, 9.0, 13.0, 17.0)
"""Where the test signal is loud for a quarter of a second; between them it is faint noise."""

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 6: "5.1", 8: "7.1"}
"""What a recording with so many channels is encoded as."""

Samples = npt.NDArray[np.float32]


def signal(rate: int, channels: int = 1, seconds: float = SECONDS) -> Samples:
    """Shape (channels, samples)."""
    times = np.arange(int(seconds * rate)) / rate
    mono = 0.01 * np.random.default_rng(0).standard_normal(times.size)
    for start in BURSTS:
        loud = (times >= start) & (times < start + 0.25)
        mono[loud] += 0.5 * np.sin(2 * np.pi * 700 * times[loud])
    return np.tile(mono.astype(np.float32), (channels, 1))


def bursts(samples: Samples) -> list[float]:
    """The seconds at which it becomes loud."""
    hop = 160
    energy = np.abs(samples[: samples.size // hop * hop]).reshape(-1, hop).mean(axis=1)
    loud = np.concatenate([[False], energy > 0.15])
    return [float(i) * hop / 16_000 for i in np.flatnonzero(loud[1:] & ~loud[:-1])]


def encoded(
    samples: Samples,
    container: str,
    codec: str,
    rate: int,
    *,
    bit_rate: int | None = None,
    video: bool = False,
    audio_from: float = 0.0,
    moved: tuple[float, float] = (0.0, 0.0),
    options: dict[str, str] | None = None,
) -> bytes:
    """A file in memory. Packets from `moved[0]` seconds on get timestamps `moved[1]` s later.

    `options` are the muxer's.
    """
    layout = LAYOUTS[len(samples)]
    file = io.BytesIO()
    with av.open(file, "w", format=container, options=options or {}) as out:
        stream = cast(AudioStream, out.add_stream(codec, rate=rate, layout=layout))
        stream.codec_context.options = {"strict": "experimental"}
        if bit_rate:
            stream.bit_rate = bit_rate
        if video:
            add_video(out, samples.shape[1] / rate + audio_from)
        interleaved = np.ascontiguousarray(samples.T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="flt", layout=layout)
        frame.sample_rate = rate
        frame.pts, frame.time_base = 0, Fraction(1, rate)
        resampler = av.AudioResampler(
            format=stream.format, layout=layout, rate=rate, frame_size=stream.frame_size or 1024
        )
        for part in [*resampler.resample(frame), *resampler.resample(None), None]:
            for packet in stream.encode(part):
                if packet.pts is not None:
                    late = moved[1] if packet.pts * packet.time_base >= moved[0] else 0.0
                    packet.pts += round((audio_from + late) / packet.time_base)
                    packet.dts = packet.pts
                out.mux(packet)
    return file.getvalue()


def add_video(out: av.container.OutputContainer, seconds: float) -> None:
    picture = out.add_stream("mpeg4", rate=5)
    picture.width = picture.height = 64
    for index in range(int(seconds * 5)):
        image = np.full((64, 64, 3), index % 256, np.uint8)
        out.mux(picture.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
    out.mux(picture.encode(None))


def read(content: bytes, max_seconds: float = 3600.0) -> tuple[Samples, AudioFacts]:
    with AudioReader(io.BytesIO(content), max_seconds=max_seconds) as reader:
        blocks = list(reader.blocks())
        for block in blocks:
            assert block.dtype == np.float32
            assert len(block) == 1
            assert block.shape[1] <= 40_000
        samples = np.concatenate(blocks, axis=1)[0]
        facts = reader.facts
    assert np.isfinite(samples).all()
    assert samples.size / 16_000 == pytest.approx(facts.seconds, abs=0.01)
    return samples, facts


KINDS = {
    "wav": ("wav", "pcm_s16le", 16_000, 1, None),
    "8 kHz mu-law": ("wav", "pcm_mulaw", 8_000, 1, None),
    "float stereo wav": ("wav", "pcm_f32le", 48_000, 2, None),
    "24 bit 96 kHz": ("wav", "pcm_s24le", 96_000, 2, None),
    "8 bit": ("wav", "pcm_u8", 11_025, 1, None),
    "flac": ("flac", "flac", 16_000, 1, None),
    "mp3": ("mp3", "libmp3lame", 44_100, 2, 128_000),
    "m4a": ("ipod", "aac", 44_100, 2, 128_000),
    "bare aac": ("adts", "aac", 44_100, 2, 128_000),
    "7.1 m4a": ("ipod", "aac", 48_000, 8, 384_000),
    "opus": ("ogg", "libopus", 48_000, 1, 64_000),
    "webm": ("webm", "libopus", 48_000, 2, 64_000),
    "transport stream": ("mpegts", "aac", 44_100, 1, 64_000),
    "wma": ("asf", "wmav2", 44_100, 2, 64_000),
    "amr": ("amr", "libopencore_amrnb", 8_000, 1, 12_200),
}


def id3(frames: bytes) -> bytes:
    size = bytes(len(frames) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + size + frames
