"""Read one recording: open it, decode it packet by packet, and account for what is damaged."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.packet import Packet
from av.stream import Discard

from neuron_worker.audio.blocks import Block, Blocks
from neuron_worker.audio.clock import ID3_HEADER_BYTES, ByteClock, Clock, TimestampClock
from neuron_worker.audio.errors import (
    AudioTooLongError,
    EmptyFileError,
    NoAudioStreamError,
    NotAudioError,
    NothingDecodedError,
)
from neuron_worker.audio.source import AudioFile, Source

DEMUX_FAILURES_MAX = 1_000
"""Failures in a row, with no packet between them, after which the rest of the file is given up."""

BYTES_PER_SECOND_MIN = 250
"""A declared length that leaves fewer bytes than this for each second is not believed.

The leanest speech codecs take more: AMR-NB's lowest mode 650 (RFC 4867, section 5.3).
"""

BARE_STREAMS = frozenset({"mp3", "aac", "ac3", "eac3", "amr"})
"""Formats without a container, whose timestamps and lengths FFmpeg can only count or estimate."""

CHANNELS_MAX = 64
"""libswresample takes no more (SWR_CH_MAX in libswresample/swresample_internal.h)."""

SAMPLE_RATE_MIN, SAMPLE_RATE_MAX = 1_000, 768_000
"""No recorder works outside; a damaged header can say anything, and a second must fit memory."""

LOST_SECONDS_MIN = 0.1
"""Less is not worth a number in a warning."""

AV_TIME_BASE = 1_000_000
"""Units per second of a container's own times (libavutil/avutil.h)."""


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """What is known of a recording: so far, while it is read."""

    container: str
    codec: str
    channels: int
    container_seconds: float | None
    """The length that the container declares or FFmpeg estimates; it can be wrong."""
    seconds: float
    """The length of what was decoded and of the silence that stands for what was lost."""
    lost_seconds: float
    bad_packets: int
    warnings: tuple[str, ...]


class AudioReader:
    """Reads one recording once, from start to end.

        with AudioReader(file, max_seconds=86_400) as reader:
            for block in reader.blocks():
                ...
        print(reader.facts.warnings)

    The first audio stream that can be decoded is taken, and its channels are averaged. A packet
    that cannot be decoded is skipped, and silence stands for what is lost, so that times stay
    right. No other file and no network address is opened, whatever the file names. Raises an
    `AudioError` for a file that can never be transcribed; what the file object raises comes
    through as it is.
    """

    def __init__(self, file: AudioFile, *, max_seconds: float) -> None:
        self._max_seconds = max_seconds
        self._bad_packets = 0
        self._ended = False
        self._source = Source(file)
        if self._source.size == 0:
            raise EmptyFileError
        self._container = _open(self._source)
        try:
            self._stream = _audio_stream(self._container)
            self._format = self._container.format.name
            self._codec = self._stream.codec_context.codec.canonical_name
            self._time_base_seconds = float(self._stream.time_base or 0)
            self._channels = self._stream.codec_context.layout.nb_channels
            self._declared = _Declared.by(self._container, self._stream, self._source.size)
            self._clock = self._make_clock()
            if self._declared.exceeds(max_seconds):
                raise AudioTooLongError(max_seconds=max_seconds)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def blocks(self) -> Iterator[Block]:
        """Mono samples at 16 kHz, about a second at a time. Raises as the class says."""
        blocks = Blocks()
        for frame, start_seconds, packet_bytes in self._frames():
            seconds = frame.samples / frame.sample_rate
            silence_seconds = self._clock.place(start_seconds, seconds, packet_bytes)
            if self._clock.seconds > self._max_seconds:
                raise AudioTooLongError(max_seconds=self._max_seconds)
            try:
                yield from blocks.add(frame, silence_seconds)
            except av.FFmpegError as error:
                raise NotAudioError(detail=f"unusable {self._codec}: {error.strerror}") from error
        yield from blocks.rest()
        self._ended = True
        if self._clock.seconds == 0:
            raise NothingDecodedError(codec=self._codec, bad_packets=self._bad_packets)

    @property
    def facts(self) -> AudioFacts:
        """What is known by now; final once `blocks` has ended."""
        return AudioFacts(
            container=self._format,
            codec=self._codec,
            channels=self._channels,
            container_seconds=self._declared.seconds,
            seconds=self._clock.seconds,
            lost_seconds=self._clock.lost_seconds,
            bad_packets=self._bad_packets,
            warnings=tuple(self._warnings()),
        )

    def _warnings(self) -> Iterator[str]:
        seconds, lost_seconds = self._clock.seconds, self._clock.lost_seconds
        if lost_seconds >= LOST_SECONDS_MIN:
            yield f"{lost_seconds:.1f} s of audio were unreadable and replaced by silence"
        elif self._bad_packets:
            yield f"unreadable packets were skipped: {self._bad_packets}"
        if self._ended and self._declared.is_longer_than(seconds):
            yield (
                f"the container declares {self._declared.seconds:.1f} s, but the audio ends after "
                f"{seconds:.1f} s: the file may have been cut off"
            )

    def _make_clock(self) -> Clock:
        if self._format in BARE_STREAMS:
            return ByteClock()
        start, length = self._container.start_time, self._container.duration
        return TimestampClock(
            origin_seconds=None if start is None else start / AV_TIME_BASE,
            declared_seconds=None if length is None else length / AV_TIME_BASE,
        )

    def _frames(self) -> Iterator[tuple[AudioFrame, float | None, int]]:
        """Each decoded frame with its timestamp in seconds and its packet's bytes."""
        for packet in self._packets():
            packet_bytes = packet.size
            frames = self._decode(packet)
            if frames is None and packet_bytes:
                self._bad_packets += 1
                self._clock.skip(packet_bytes, bytes(memoryview(packet)[:ID3_HEADER_BYTES]))
            for frame in frames or ():
                start = None if frame.pts is None else frame.pts * self._time_base_seconds
                yield frame, start, packet_bytes
                packet_bytes = 0

    def _decode(self, packet: "Packet[AudioStream]") -> list[AudioFrame] | None:
        """The frames in a packet; None for a bad one."""
        try:
            frames = packet.decode()
        except av.FFmpegError:
            return None
        return frames if all(map(_is_usable, frames)) else None

    def _packets(self) -> Iterator["Packet[AudioStream]"]:
        """The stream's packets; a demuxer that failed may go on behind the damage."""
        failures = 0
        while failures <= DEMUX_FAILURES_MAX:
            try:
                for packet in self._container.demux(self._stream):
                    self._source.check()
                    failures = 0
                    yield packet
                break
            except (av.FFmpegError, IndexError):
                # PyAV 18.1 raises IndexError at the end if a stream turned up on the way.
                self._source.check()
                failures += 1
        self._source.check()


@dataclass(frozen=True, slots=True)
class _Declared:
    """The length that the container declares, and whether it is one to go by."""

    seconds: float | None
    reliable: bool
    file_bytes: int

    @classmethod
    def by(cls, container: InputContainer, stream: AudioStream, file_bytes: int) -> Self:
        own = stream.duration * stream.time_base if stream.duration and stream.time_base else None
        whole = container.duration / AV_TIME_BASE if container.duration else None
        seconds = float(own) if own is not None else whole
        if seconds is None or seconds <= 0:
            return cls(None, reliable=False, file_bytes=file_bytes)
        reliable = own is not None or len(container.streams) == 1
        if container.format.name in BARE_STREAMS:
            # FFmpeg estimates from the bit rate, unless an MP3's header tells the length: then
            # it can promise more than the bytes there are.
            promised_bytes = seconds * (stream.codec_context.bit_rate or 0) / 8
            reliable = container.format.name == "mp3" and promised_bytes > 1.01 * file_bytes
        return cls(seconds, reliable=reliable, file_bytes=file_bytes)

    def exceeds(self, max_seconds: float) -> bool:
        """Whether the recording is too long, without decoding it first."""
        if self.seconds is None or not self.reliable:
            return False
        leanest = self.seconds * BYTES_PER_SECOND_MIN
        return self.seconds > max_seconds and self.file_bytes >= leanest

    def is_longer_than(self, seconds: float) -> bool:
        """Whether audio is missing at the end: more than 1 s and more than 1 %."""
        missing = (self.seconds or 0.0) - seconds
        return self.reliable and missing > max(1.0, 0.01 * seconds)


def _open(source: Source) -> InputContainer:
    """Open a container that can reach nothing but its own bytes.

    Playlists and the like name other files: an empty protocol whitelist keeps FFmpeg from opening
    any, and where a demuxer asks us, every other file is empty.
    """
    try:
        container = av.open(
            source,
            mode="r",
            metadata_errors="replace",
            container_options={"protocol_whitelist": ""},
            io_open=lambda *_: io.BytesIO(),
        )
    except av.FFmpegError as error:
        source.check()
        raise NotAudioError(detail=error.strerror) from error
    source.check()
    return container


def _is_usable(frame: AudioFrame) -> bool:
    rate_fits = SAMPLE_RATE_MIN <= frame.sample_rate <= SAMPLE_RATE_MAX
    return rate_fits and frame.layout.nb_channels <= CHANNELS_MAX


def _audio_stream(container: InputContainer) -> AudioStream:
    """The first audio stream with a decoder; the others are not even read if that can be had."""
    streams = container.streams
    if not streams.audio:
        kinds = ", ".join(sorted({stream.type for stream in streams})) or "an empty container"
        raise NoAudioStreamError(streams=kinds)
    chosen = next((stream for stream in streams.audio if stream.codec_context), None)
    if chosen is None:
        raise NotAudioError(detail="no decoder for its audio codec")
    for stream in streams:
        if stream is not chosen:
            stream.discard = Discard.all
    chosen.codec_context.thread_count = 1
    return chosen
