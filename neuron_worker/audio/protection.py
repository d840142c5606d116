"""Recordings that are encrypted: decoded without their key they would give noise, not an error."""

from av.audio.stream import AudioStream
from av.container.input import InputContainer
from av.packet import Packet

from neuron_worker.audio.errors import EncryptedError

PROTECTED_ENTRIES = {
    "enca": "common encryption of MP4",
    "drms": "Apple FairPlay",
    "aavd": "Audible",
}
"""Sample entries of MP4 by which players know that they need a key (ISO/IEC 14496-12, 8.12)."""

ASF_PROTECTION = "ASF_Protection_Type"
"""FFmpeg's name for what Windows Media says of its protection (libavformat/asfdec_f.c)."""

MATROSKA_KEY_ID = "enc_key_id"
"""FFmpeg's name for the key of an encrypted Matroska track (libavformat/matroskadec.c)."""


def refuse_protected(container: InputContainer, stream: AudioStream) -> None:
    """Raise `EncryptedError` if the container says that the stream is encrypted."""
    if how := PROTECTED_ENTRIES.get(_tag(stream)):
        raise EncryptedError(how=how)
    if ASF_PROTECTION in container.metadata:
        raise EncryptedError(how="Windows Media DRM")
    if MATROSKA_KEY_ID in stream.metadata:
        raise EncryptedError(how="encryption of Matroska or WebM")


def refuse_encrypted(packet: "Packet[AudioStream]") -> None:
    """Raise `EncryptedError` for a packet that needs a key; others before it may need none."""
    if packet.has_sidedata("encryption_info"):
        raise EncryptedError(how=PROTECTED_ENTRIES["enca"])


def _tag(stream: AudioStream) -> str:
    """The codec's name in the container, which is not text everywhere."""
    try:
        return stream.codec_context.codec_tag
    except UnicodeDecodeError:
        return ""
