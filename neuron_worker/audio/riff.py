"""The length that a WAV file was to have: FFmpeg tells only the length of what is there."""

import struct

HEAD_BYTES = 64 * 1024
"""The audio begins within these, or is not looked for; other chunks before it are mostly small."""

UNKNOWN_BYTES = 0x7FFF_0000
"""From here on a length is one that programs write which do not know it yet, such as FFmpeg's
0xFFFFFFFF and SoX's 0x7FFFF000."""


def promised_bytes(head: bytes) -> int | None:
    """How many bytes of audio the header of a WAV file announces; None if it does not say.

    The format is that of "Multimedia Programming Interface and Data Specifications 1.0", IBM and
    Microsoft, 1991: chunks of a name, a length and content, padded to an even number of bytes.
    """
    if head[:4] != b"RIFF" or head[8:12] != b"WAVE":
        return None
    at = 12
    while at + 8 <= len(head):
        name, length = struct.unpack_from("<4sI", head, at)
        if name == b"data":
            return length if 0 < length < UNKNOWN_BYTES else None
        at += 8 + length + length % 2
    return None
