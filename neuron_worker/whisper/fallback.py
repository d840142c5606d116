"""Judging what a window was decoded to: keep it, call it silent, or decode it again, hotter.

The thresholds and their order are those of openai/whisper's transcribe.py, `decode_with_fallback`.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
"""A window is decoded at the first, and at each next one while its text is not good enough."""

COMPRESSION_RATIO_THRESHOLD = 2.4
"""Text that compresses better than this repeats itself (`compression_ratio_threshold`)."""

LOG_PROBABILITY_THRESHOLD = -1.0
"""Below this average log-probability, a text is unlikely (`logprob_threshold`)."""

NO_SPEECH_THRESHOLD = 0.6
"""Above this probability of no speech, unlikely text was made up over silence."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What one window was decoded to; `tokens` has neither prompt nor end-of-text.

    The average log-probability is that of the chosen tokens, end-of-text included, among those
    that the rules allow; the probability of no speech is the one after `<|startoftranscript|>`.
    """

    tokens: tuple[int, ...]
    text: str
    average_log_probability: float
    no_speech_probability: float
    temperature: float = 0.0
    cut_short: bool = False
    """Whether it came to the most tokens that a row may choose, before the end of what was said."""

    @property
    def compression_ratio(self) -> float:
        """Bytes of the text for each byte of the text compressed; 0 for no text."""
        return compression_ratio(self.text)

    @property
    def is_silent(self) -> bool:
        """Whether the text was made up over silence."""
        return (
            self.no_speech_probability > NO_SPEECH_THRESHOLD
            and self.average_log_probability < LOG_PROBABILITY_THRESHOLD
        )

    @property
    def is_likely_speech(self) -> bool:
        """Whether speech was heard and the text does not repeat itself."""
        return (
            self.no_speech_probability <= NO_SPEECH_THRESHOLD
            and self.compression_ratio <= COMPRESSION_RATIO_THRESHOLD
        )

    @property
    def is_good(self) -> bool:
        """Whether the text neither repeats itself nor is unlikely."""
        return (
            self.compression_ratio <= COMPRESSION_RATIO_THRESHOLD
            and self.average_log_probability >= LOG_PROBABILITY_THRESHOLD
        )


def compression_ratio(text: str) -> float:
    """How much shorter zlib makes the UTF-8 text (openai/whisper, utils.py)."""
    encoded = text.encode()
    return len(encoded) / len(zlib.compress(encoded)) if encoded else 0.0


def next_temperature(decoded: Decoded) -> float | None:
    """At which temperature to decode the window again; None to keep what there is."""
    if decoded.is_good or decoded.is_silent:
        return None
    return next((hotter for hotter in TEMPERATURES if hotter > decoded.temperature), None)


def best_of(tries: Sequence[Decoded]) -> Decoded:
    """Which try to keep when the last one was kept for want of a hotter temperature.

    A good or silent last try is kept. Else the likeliest one that does not repeat itself, or the
    likeliest at all (as faster-whisper does; openai/whisper keeps the last).
    """
    *_, last = tries
    if last.is_good or last.is_silent:
        return last
    varied = [one for one in tries if one.compression_ratio <= COMPRESSION_RATIO_THRESHOLD]
    return max(varied or tries, key=lambda one: one.average_log_probability)
