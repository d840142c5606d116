"""Audio of any container FFmpeg reads, as 16 kHz blocks, in bounded memory."""

from neuron_worker.audio.decoder import (
    Decoder,
    DecoderBrokenError,
    Recording,
)
from neuron_worker.audio.decoder_process import DecoderNotStartedError, Limits
from neuron_worker.audio.errors import (
    AudioError,
    AudioTooLongError,
    DecoderCrashedError,
    DecoderKilledError,
    DecoderStarvedError,
    DecoderStuckError,
    EmptyFileError,
    EncryptedError,
    NoAudioStreamError,
    NotAudioError,
    NothingDecodedError,
    TooManyChannelsError,
)
from neuron_worker.audio.facts import AudioFacts
from neuron_worker.audio.reader import AudioReader
from neuron_worker.audio.source import AudioFile

__all__ = [
    "AudioError",
    "AudioFacts",
    "AudioFile",
    "AudioReader",
    "AudioTooLongError",
    "Decoder",
    "DecoderBrokenError",
    "DecoderCrashedError",
    "DecoderKilledError",
    "DecoderNotStartedError",
    "DecoderStarvedError",
    "DecoderStuckError",
    "EmptyFileError",
    "EncryptedError",
    "Limits",
    "NoAudioStreamError",
    "NotAudioError",
    "NothingDecodedError",
    "Recording",
    "TooManyChannelsError",
]
