"""Audio of any container FFmpeg reads, as 16 kHz mono blocks, in bounded memory."""

from neuron_worker.audio.errors import (
    AudioError,
    AudioTooLongError,
    EmptyFileError,
    NoAudioStreamError,
    NotAudioError,
    NothingDecodedError,
)
from neuron_worker.audio.reader import AudioFacts, AudioReader
from neuron_worker.audio.source import AudioFile

__all__ = [
    "AudioError",
    "AudioFacts",
    "AudioFile",
    "AudioReader",
    "AudioTooLongError",
    "EmptyFileError",
    "NoAudioStreamError",
    "NotAudioError",
    "NothingDecodedError",
]
