"""Why a recording can never be transcribed, in words for its owner."""

from inspect import cleandoc
from typing import ClassVar

from neuron_worker.contract import Reason


class AudioError(Exception):
    """The audio cannot be transcribed.

    A subclass's docstring is its message; the fields fill it in.
    """

    reason: ClassVar[Reason]

    def __init__(self, **fields: str | float) -> None:
        self.fields = fields
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


class EncryptedError(AudioError):
    """the recording is encrypted ({how}), so that only players with its key can open it: upload a
    copy without protection"""

    reason = Reason.ENCRYPTED


class AudioTooLongError(AudioError):
    """the recording is longer than the {max_seconds:,.0f} s allowed: cut it into parts"""

    reason = Reason.TOO_LONG


class TooManyChannelsError(AudioError):
    """the recording has {channels} channels, of which no more than {most} can be transcribed
    separately: let them be mixed, or split the recording"""

    reason = Reason.UNSUPPORTED_OPTION


class DecoderStuckError(AudioError):
    """the decoder got stuck in the recording and was stopped: export it again, for example as FLAC
    or M4A"""

    reason = Reason.DECODER_FAILED


class DecoderStarvedError(AudioError):
    """the decoder wanted more than {memory_mib} MiB of memory for the recording and was stopped:
    export it again, for example as FLAC or M4A"""

    reason = Reason.DECODER_FAILED


class DecoderCrashedError(AudioError):
    """the decoder crashed on the recording ({how}): export it again, for example as FLAC or M4A"""

    reason = Reason.DECODER_FAILED


class DecoderKilledError(AudioError):
    """the decoder was killed from outside while it read the recording, most likely because the
    machine ran out of memory: if this happens again, give the job more"""

    reason = Reason.OUT_OF_MEMORY
