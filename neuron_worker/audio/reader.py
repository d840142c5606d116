"""Read one recording: open it, decode it packet by packet, and account for what is damaged."""

import io
from collections.abc import Iterator
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
from neuron_worker.audio.facts import (
    AV_TIME_BASE,
    BARE_STREAMS,
    INDEXED,
    AudioFacts,
    DeclaredLength,
    warnings,
)
from neuron_worker.audio.protection import refuse_encrypted, refuse_protected
from neuron_worker.audio.source import AudioFile, Source

DEMUX_FAILURES_MAX = 1_000
"""Failures in a row, with no packet between them, after which the rest of the file is given up."""

STARVED_MAX = 16
"""Failed allocations in a row after which memory is what is wanting.

A few are damage: a packet whose header asks for more than there is.
"""

CHANNELS_MAX = 64
"""libswresample takes no more (SWR_CH_MAX in libswresample/swresample_internal.h)."""

SAMPLE_RATE_MIN, SAMPLE_RATE_MAX = 1_000, 768_000
"""No recorder works outside; a damaged header can say anything, and a second must fit memory."""

PREROLL_SECONDS = 1.0
"""Decoded before what is wanted, because a codec needs what came before: Opus 80 ms (RFC 7845,
section 4.6), AAC a frame, and an MP3 inside a container some."""


class AudioReader:
    """Reads one recording once, from `start_seconds` to its end.

        with AudioReader(file, max_seconds=86_400) as reader:
            for block in reader.blocks():
                ...
        print(reader.facts.warnings)

    The first audio stream that can be decoded is taken. Its channels are mixed into one, or kept
    apart; then their number is that of the first frame. A packet
    that cannot be decoded is skipped, and silence stands for what is lost, so that times stay
    right. The first sample is at `facts.start_seconds`, a frame or so before what was asked for;
    what comes earlier is not even read where the container has an index. No other file and no
    network address is opened, whatever the file names. Raises an `AudioError` for a file that can
    never be transcribed; what the file object raises comes through as it is.
    """

    def __init__(
        self,
        file: AudioFile,
        *,
        max_seconds: float,
        separate_channels: bool = False,
        start_seconds: float = 0.0,
    ) -> None:
        self._max_seconds = max_seconds
        self._separate_channels = separate_channels
        self._start_seconds = start_seconds
        self._begins_at: float | None = None if start_seconds else 0.0
        self._clock_from = 0.0
        self._lost_before = 0.0
        self._bad_packets = 0
        self._bad_before = 0
        self._starved = 0
        self._first: Packet[AudioStream] | None = None
        self._ended = False
        self._source = Source(file)
        if self._source.size == 0:
            raise EmptyFileError
        self._container = _open(self._source)
        try:
            self._stream = _audio_stream(self._container)
            refuse_protected(self._container, self._stream)
            self._format = self._container.format.name
            self._codec = self._stream.codec_context.codec.canonical_name
            self._time_base_seconds = float(self._stream.time_base or 0)
            self._channels = self._stream.codec_context.layout.nb_channels
            self._declared = DeclaredLength.by(self._container, self._stream, self._source)
            self._clock = self._make_clock()
            if self._declared.exceeds(max_seconds):
                raise AudioTooLongError(max_seconds=max_seconds)
            if start_seconds > PREROLL_SECONDS and self._format in INDEXED:
                self._seek(start_seconds - PREROLL_SECONDS)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def blocks(self) -> Iterator[Block]:
        """Samples at 16 kHz, shape (channels, samples), about a second at a time.

        Raises as the class says.
        """
        blocks = Blocks(separate_channels=self._separate_channels)
        for frame, start_seconds, packet_bytes in self._frames():
            seconds = frame.samples / frame.sample_rate
            silence_seconds = self._clock.place(start_seconds, seconds, packet_bytes)
            if self._seconds > self._max_seconds:
                raise AudioTooLongError(max_seconds=self._max_seconds)
            if self._begins_at is None:
                if self._seconds <= self._start_seconds:
                    continue
                self._begins_at = self._seconds - seconds
                self._lost_before, self._bad_before = self._clock.lost_seconds, self._bad_packets
                silence_seconds = 0.0
            try:
                yield from blocks.add(frame, silence_seconds)
            except MemoryError:
                raise
            except av.FFmpegError as error:
                raise NotAudioError(detail=f"unusable {self._codec}: {error.strerror}") from error
        yield from blocks.rest()
        self._ended = self._begins_at is not None
        if self._clock.seconds == 0 and not self._start_seconds:
            raise NothingDecodedError(codec=self._codec, bad_packets=self._bad_packets)

    @property
    def facts(self) -> AudioFacts:
        """What is known by now; final once `blocks` has ended."""
        seconds = self._seconds
        lost_seconds = self._clock.lost_seconds - self._lost_before
        bad_packets = self._bad_packets - self._bad_before
        return AudioFacts(
            container=self._format,
            codec=self._codec,
            channels=self._channels,
            container_seconds=self._declared.seconds,
            seconds=seconds,
            lost_seconds=lost_seconds,
            bad_packets=bad_packets,
            warnings=tuple(
                warnings(
                    self._declared,
                    seconds=seconds,
                    lost_seconds=lost_seconds,
                    bad_packets=bad_packets,
                    ended=self._ended,
                )
            ),
            start_seconds=self._begins_at or 0.0,
        )

    @property
    def _seconds(self) -> float:
        """How far the recording is decoded."""
        return self._clock_from + self._clock.seconds

    def _make_clock(self) -> Clock:
        if self._format in BARE_STREAMS:
            return ByteClock()
        start, length = self._container.start_time, self._container.duration
        return TimestampClock(
            origin_seconds=None if start is None else start / AV_TIME_BASE,
            declared_seconds=None if length is None else length / AV_TIME_BASE,
        )

    def _seek(self, seconds: float) -> None:
        """Go on from there or before; from the start where the container does not find it."""
        origin = (self._container.start_time or 0) / AV_TIME_BASE
        length = self._container.duration
        try:
            self._container.seek(int((origin + seconds) * AV_TIME_BASE))
            first = next(self._container.demux(self._stream))
        except (av.FFmpegError, IndexError, StopIteration):
            first = None
        self._source.check()
        pts = first.pts if first is not None else None
        if pts is None or not origin <= pts * self._time_base_seconds <= origin + seconds:
            self._container.close()
            self._source.seek(0)
            self._container = _open(self._source)
            self._stream = _audio_stream(self._container)
            return
        self._first = first
        begins_at = pts * self._time_base_seconds
        self._clock_from = begins_at - origin
        self._clock = TimestampClock(
            origin_seconds=begins_at,
            declared_seconds=None if length is None else length / AV_TIME_BASE - self._clock_from,
        )

    def _frames(self) -> Iterator[tuple[AudioFrame, float | None, int]]:
        """Each decoded frame with its timestamp in seconds and its packet's bytes."""
        packet_end: int | None = None
        for packet in self._packets():
            refuse_encrypted(packet)
            packet_bytes = packet.size
            if self._format in BARE_STREAMS and packet.pos is not None:
                if packet_end is not None and packet.pos > packet_end:
                    head = self._source.peek(packet_end, ID3_HEADER_BYTES)
                    self._clock.skip(packet.pos - packet_end, head)
                packet_end = packet.pos + packet_bytes
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
        except MemoryError as failure:
            self._starve(failure)
            return None
        except av.FFmpegError:
            return None
        self._starved = 0
        return frames if all(map(_is_usable, frames)) else None

    def _starve(self, failure: MemoryError) -> None:
        self._starved += 1
        if self._starved > STARVED_MAX:
            raise failure

    def _packets(self) -> Iterator["Packet[AudioStream]"]:
        """The stream's packets; a demuxer that failed may go on behind the damage."""
        if self._first is not None:
            yield self._first
        failures = 0
        while failures <= DEMUX_FAILURES_MAX:
            try:
                for packet in self._container.demux(self._stream):
                    self._source.check()
                    failures = 0
                    yield packet
                break
            except (av.FFmpegError, IndexError) as error:
                # PyAV 18.1 raises IndexError at the end if a stream turned up on the way.
                self._source.check()
                if isinstance(error, MemoryError):
                    self._starve(error)
                failures += 1
        self._source.check()


def _open(source: Source) -> InputContainer:
    """Open a container that can reach nothing but its own bytes.

    Playlists and the like name other files: an empty protocol whitelist keeps FFmpeg from opening
    any, and where a demuxer asks us, every other file is empty.
    """
    try:
        container = _open_with(source, {})
        if container.format.name == "aac":
            # Its demuxer steps over damage; only without a parser do packets tell where they stood.
            container.close()
            source.seek(0)
            container = _open_with(source, {"fflags": "noparse"})
    except MemoryError:
        raise
    except av.FFmpegError as error:
        source.check()
        raise NotAudioError(detail=str(error.strerror)) from error
    source.check()
    return container


def _open_with(source: Source, options: dict[str, str]) -> InputContainer:
    return av.open(
        source,
        mode="r",
        metadata_errors="replace",
        container_options={"protocol_whitelist": "", **options},
        io_open=lambda *_: io.BytesIO(),
    )


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
