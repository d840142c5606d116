"""Why a recording can never be transcribed, in words for its owner."""

from inspect import cleandoc
from typing import ClassVar

from neuron_worker.contract import Reason


class AudioError(Exception):
    """The audio cannot be transcribed.

    A subclass's docstring is its message; the fields fill it in.
    """

    reason: ClassVar[Reason]

    def __init__(self, **fields: object) -> None:
        super().__init__(" ".join(cleandoc(str(self.__doc__)).split()).format(**fields))


class EmptyFileError(AudioError):
    """the file is empty: upload the recording again"""

    reason = Reason.EMPTY


class NothingDecodedError(AudioError):
    """not one sample could be decoded from the {codec} stream ({bad_packets} bad packets): the
    recording is empty, or damaged throughout"""

    reason = Reason.EMPTY


class NotAudioError(AudioError):
    """this is no recording that FFmpeg can read, or it is damaged or cut off at a vital place
    ({detail}): export it again, for example as FLAC or M4A"""

    reason = Reason.NOT_AUDIO


class NoAudioStreamError(AudioError):
    """the file has no audio stream, only {streams}: export it again with its sound"""

    reason = Reason.NO_AUDIO_STREAM


class AudioTooLongError(AudioError):
    """the recording is longer than the {max_seconds:,.0f} s allowed: cut it into parts"""

    reason = Reason.TOO_LONG
