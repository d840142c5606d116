"""Word errors, counted after Whisper's normaliser."""

import pytest
from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

from tests.bench.scoring import word_error_rate

NORMALIZE = EnglishTextNormalizer({"colour": "color"})


def test_case_punctuation_numbers_and_spelling_are_no_errors() -> None:
    heard = "10 of clubs, it's a Color."

    assert word_error_rate("ten of clubs it is a colour", heard, NORMALIZE) == 0.0


@pytest.mark.parametrize(
    "heard", ["the cat sat on a mat", "the cat sat on mat", "the cat sat right on the mat"]
)
def test_a_wrong_a_missing_and_an_invented_word_count_alike(heard: str) -> None:
    rate = word_error_rate("the cat sat on the mat", heard, NORMALIZE)

    assert rate == pytest.approx(1 / 6)
