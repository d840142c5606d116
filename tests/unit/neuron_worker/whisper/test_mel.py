import numpy as np
import pytest
from transformers.audio_utils import mel_filter_bank
from transformers.models.whisper.feature_extraction_whisper import WhisperFeatureExtractor

from neuron_worker.speech import SAMPLE_RATE, Window
from neuron_worker.whisper.mel import _filters, log_mel


@pytest.mark.parametrize("mel_bins", [80, 128])
@pytest.mark.parametrize("samples", [0, 1, 399, 16_001, 480_000])
def test_the_spectrogram_is_transformers(samples: int, mel_bins: int) -> None:
    noise = np.random.default_rng(samples).normal(0, 0.1, samples).astype(np.float32)
    theirs = WhisperFeatureExtractor(feature_size=mel_bins)(noise, sampling_rate=SAMPLE_RATE)
    ours = log_mel(noise, mel_bins).numpy()
    assert ours.shape == (mel_bins, 3000)
    np.testing.assert_allclose(ours, theirs["input_features"][0], atol=1e-5)


@pytest.mark.parametrize("mel_bins", [80, 128])
def test_the_filters_are_transformers(mel_bins: int) -> None:
    theirs = mel_filter_bank(
        num_frequency_bins=201,
        num_mel_filters=mel_bins,
        min_frequency=0.0,
        max_frequency=8000.0,
        sampling_rate=SAMPLE_RATE,
        norm="slaney",
        mel_scale="slaney",
    )
    np.testing.assert_allclose(_filters(mel_bins).numpy(), theirs.T, atol=1e-7, rtol=0)


def test_the_spectrogram_of_speech_is_transformers(speech: list[Window]) -> None:
    for window in speech:
        theirs = WhisperFeatureExtractor()(window.samples, sampling_rate=SAMPLE_RATE)
        ours = log_mel(window.samples, 80).numpy()
        np.testing.assert_allclose(ours, theirs["input_features"][0], atol=1e-5)


def test_more_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="480001 samples"):
        log_mel(np.zeros(480_001, np.float32), 80)
