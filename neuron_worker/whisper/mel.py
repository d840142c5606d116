"""The log-mel spectrogram that Whisper hears."""

import math
from functools import cache

import numpy as np
import numpy.typing as npt
import torch

from neuron_worker.speech import SAMPLE_RATE, WINDOW_MAX_SECONDS

FFT_SAMPLES = 400
"""Length of the Hann window, 25 ms (openai/whisper, audio.py, `N_FFT`)."""

HOP_SAMPLES = 160
"""Distance of two frames, 10 ms (openai/whisper, audio.py, `HOP_LENGTH`)."""

WINDOW_MAX_SAMPLES = int(WINDOW_MAX_SECONDS * SAMPLE_RATE)
"""Samples of one full window; shorter ones are padded with silence."""

FRAMES = WINDOW_MAX_SAMPLES // HOP_SAMPLES
"""Frames of every window, 3,000."""

POWER_FLOOR = 1e-10
"""The least power of a band before the logarithm (audio.py, `log_mel_spectrogram`)."""

DYNAMIC_RANGE = 8.0
"""Bands more than 8 decades below the loudest are raised to that (audio.py)."""

LINEAR_HERTZ, LINEAR_MELS = 1000.0, 15.0
"""Slaney's mel scale is linear up to 1 kHz (librosa, convert.py, `hz_to_mel`)."""

MEL_STEP = math.log(6.4) / 27.0
"""Above it, a mel multiplies the frequency by as much as this is the logarithm of (convert.py)."""


def log_mel(samples: npt.NDArray[np.float32], mel_bins: int) -> torch.Tensor:
    """The log-mel spectrogram [mel_bins, 3000] of at most 30 s of 16 kHz mono, float32.

    Silence fills the window up; values are (max(log10 power, loudest - 8) + 4) / 4, as in
    openai/whisper's audio.py. ValueError for more than 480,000 samples.
    """
    if samples.size > WINDOW_MAX_SAMPLES:
        raise ValueError(f"{samples.size} samples, but a window holds {WINDOW_MAX_SAMPLES}")
    padded = torch.zeros(WINDOW_MAX_SAMPLES)
    padded[: samples.size] = torch.from_numpy(np.ascontiguousarray(samples))
    spectrum = torch.stft(padded, FFT_SAMPLES, HOP_SAMPLES, window=_hann(), return_complex=True)
    # The frame that begins where the window ends is not part of it.
    power = (spectrum[:, :-1].abs() ** 2).contiguous()
    bands = (_filters(mel_bins) @ power).clamp(min=POWER_FLOOR).log10()
    bands = torch.maximum(bands, bands.max() - DYNAMIC_RANGE)
    return (bands + 4.0) / 4.0


@cache
def _hann() -> torch.Tensor:
    return torch.hann_window(FFT_SAMPLES)


@cache
def _filters(mel_bins: int) -> torch.Tensor:
    """Slaney's mel filters [mel_bins, 201] for 0 to 8 kHz: triangles of the same area.

    As in librosa, filters.py, `mel`, of which openai/whisper's filters are a copy.
    """
    frequencies = np.linspace(0, SAMPLE_RATE / 2, FFT_SAMPLES // 2 + 1)
    corners = _mel_to_hertz(np.linspace(0, _hertz_to_mel(SAMPLE_RATE / 2), mel_bins + 2))
    lower, centre, upper = (corners[first : first + mel_bins, None] for first in range(3))
    rising = (frequencies - lower) / (centre - lower)
    falling = (upper - frequencies) / (upper - centre)
    triangles = np.maximum(0, np.minimum(rising, falling)) * 2 / (upper - lower)
    return torch.from_numpy(triangles.astype(np.float32))


def _hertz_to_mel(hertz: float) -> float:
    """Slaney's scale above its linear part."""
    return LINEAR_MELS + math.log(hertz / LINEAR_HERTZ) / MEL_STEP


def _mel_to_hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    linear = mels * LINEAR_HERTZ / LINEAR_MELS
    logarithmic = LINEAR_HERTZ * np.exp(MEL_STEP * (mels - LINEAR_MELS))
    return np.where(mels < LINEAR_MELS, linear, logarithmic)
