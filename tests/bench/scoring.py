"""Word errors, counted as Whisper's authors count them."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import jiwer
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

Normalize = Callable[[str], str]


def english_normalizer() -> Normalize:
    """Whisper's English normaliser, with the spellings that openai-whisper ships.

    The package itself is not imported: it would import PyTorch.
    """
    package = find_spec("whisper")
    assert package is not None, "openai-whisper is not installed"
    assert package.origin is not None
    spellings = Path(package.origin).with_name("normalizers") / "english.json"
    normalize: Normalize = EnglishTextNormalizer(json.loads(spellings.read_text()))
    return normalize


def word_error_rate(reference: str, heard: str, normalize: Normalize) -> float:
    """Substituted, missing and invented words for each word of the reference."""
    return float(jiwer.wer(normalize(reference), normalize(heard)))
