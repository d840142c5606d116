"""Which channels of a recording make up which channels of its blocks."""

from functools import cache

import numpy as np
import numpy.typing as npt

from neuron_worker.audio.errors import TooManyChannelsError

SEPARATE_CHANNELS_MAX = 8
"""Each is transcribed for itself: enough for calls (2 channels) and court rooms (4 to 8)."""

Matrix = npt.NDArray[np.float32]
"""Shape (channels out, channels in)."""

SHARES = {
    "FL": 0.7071,
    "FR": 0.7071,
    "FC": 1.0,
    "LFE": 0.0,
    "LFE2": 0.0,
    "NONE": 1.0,
}
"""What a channel brings into a mix, by its loudspeaker.

The row for 3/2 to 1/0 in table 2 of ITU-R BS.775: in films the centre carries the speech and the
low-frequency channel carries none. Channels without a place count alike.
"""

SURROUND_SHARE = 0.5
"""Of every other channel, beside or behind the listener (same table)."""


@cache
def mix(names: tuple[str, ...]) -> Matrix:
    """All channels, by FFmpeg's names, into one, which nothing drives beyond full scale."""
    shares = np.array([SHARES.get(name, SURROUND_SHARE) for name in names], np.float32)
    if not shares.any():
        shares[:] = 1.0
    matrix: Matrix = (shares / shares.sum())[np.newaxis]
    return matrix


@cache
def spread(channels: int, into: int) -> Matrix:
    """Each channel for itself, where there are `into` of them since the recording's start.

    Missing ones are silent. Those that are too many are averaged with the channels that they
    follow, in turn, so that nothing said in them is lost.
    """
    matrix = np.zeros((into, channels), np.float32)
    matrix[np.arange(channels) % into, np.arange(channels)] = 1.0
    shares: Matrix = matrix / matrix.sum(axis=1, keepdims=True).clip(1.0)
    return shares


def separate_count(channels: int) -> int:
    """How many channels to keep apart. Raises `TooManyChannelsError`."""
    if channels > SEPARATE_CHANNELS_MAX:
        raise TooManyChannelsError(channels=channels, most=SEPARATE_CHANNELS_MAX)
    return channels
