import zlib
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuron_worker.whisper.fallback import (
    TEMPERATURES,
    Decoded,
    best_of,
    compression_ratio,
    next_temperature,
)

VARIED = "The first boat leaves at the top of the hour."
LOOPING = "the boat " * 30


def decoded(text: str, average: float, no_speech: float = 0.0, temperature: float = 0.0) -> Decoded:
    return Decoded((1, 2), text, average, no_speech, temperature)


def tried(tries: Iterable[tuple[str, float, float]]) -> list[Decoded]:
    """Windows decoded at one temperature after the other, as long as `next_temperature` says."""
    made = list[Decoded]()
    temperature: float | None = TEMPERATURES[0]
    for text, average, no_speech in tries:
        if temperature is None:
            break
        made.append(decoded(text, average, no_speech, temperature))
        temperature = next_temperature(made[-1])
    return made


def openai_tries(tries: list[tuple[str, float, float]]) -> tuple[int, bool]:
    """How many tries openai/whisper makes, and whether it skips the window.

    transcribe.py, `decode_with_fallback` and `should_skip`, with its default thresholds.
    """
    count = skipped = 0
    for text, average, no_speech in tries:
        count += 1
        needs_fallback = False
        if len(text.encode()) / len(zlib.compress(text.encode())) > 2.4:
            needs_fallback = True
        if average < -1.0:
            needs_fallback = True
        if no_speech > 0.6 and average < -1.0:
            needs_fallback = False
        skipped = no_speech > 0.6 and not average > -1.0
        if not needs_fallback:
            break
    return count, bool(skipped)


outcomes = st.tuples(
    st.sampled_from([VARIED, LOOPING, "", "the boat " * 6]),
    st.sampled_from([-0.3, -0.99, -1.01, -3.0]),
    st.sampled_from([0.0, 0.59, 0.6, 0.61, 0.99]),
)


@given(st.lists(outcomes, min_size=len(TEMPERATURES), max_size=len(TEMPERATURES)))
def test_windows_are_tried_and_skipped_as_openai_does(
    tries: list[tuple[str, float, float]],
) -> None:
    made = tried(tries)
    count, skipped = openai_tries(tries)
    assert len(made) == count
    assert best_of(made).is_silent is skipped


GOOD, LOOPS, UNLIKELY = (VARIED, -0.3, 0.1), (LOOPING, -0.1, 0.1), (VARIED, -1.5, 0.1)
SILENT = ("Thank you.", -1.5, 0.9)


@pytest.mark.parametrize(
    ("tries", "temperatures", "kept"),
    [
        pytest.param([GOOD], [0.0], GOOD, id="good at once"),
        pytest.param([LOOPS, GOOD], [0.0, 0.2], GOOD, id="a loop ends with some chance"),
        pytest.param([UNLIKELY, UNLIKELY, GOOD], [0.0, 0.2, 0.4], GOOD, id="good at last"),
        pytest.param([SILENT], [0.0], SILENT, id="silence is not tried again"),
        pytest.param([LOOPS, SILENT], [0.0, 0.2], SILENT, id="a loop over silence"),
        pytest.param([(LOOPING, -0.1, 0.9), GOOD], [0.0, 0.2], GOOD, id="likely, so not silence"),
        pytest.param(
            [LOOPS] * 2 + [UNLIKELY] * 4, list(TEMPERATURES), UNLIKELY, id="any text before a loop"
        ),
    ],
)
def test_what_is_tried_and_kept(
    tries: list[tuple[str, float, float]],
    temperatures: list[float],
    kept: tuple[str, float, float],
) -> None:
    made = tried(tries)
    assert [one.temperature for one in made] == temperatures
    best = best_of(made)
    assert (best.text, best.average_log_probability, best.no_speech_probability) == kept


def test_of_poor_tries_the_likeliest_that_does_not_repeat_itself_is_kept() -> None:
    averages = [-1.6, -1.2, -1.1, -1.4, -2.0, -3.0]
    tries = [decoded(VARIED, average) for average in averages]
    tries[2] = decoded(LOOPING, averages[2])
    assert best_of(tries) is tries[1]


def test_of_loops_alone_the_likeliest_is_kept() -> None:
    tries = [decoded(LOOPING, average) for average in (-0.5, -0.2, -0.9)]
    assert best_of(tries) is tries[1]


def test_nothing_is_hotter_than_the_last_temperature() -> None:
    assert next_temperature(decoded(LOOPING, -9.0, temperature=TEMPERATURES[-1])) is None


@pytest.mark.parametrize(
    ("text", "average", "no_speech", "likely"),
    [
        (VARIED, -1.5, 0.6, True),
        (VARIED, -0.1, 0.61, False),
        (LOOPING, -0.1, 0.1, False),
        ("", -2.0, 0.0, True),
    ],
)
def test_likely_speech_is_heard_and_does_not_repeat_itself(
    text: str, average: float, no_speech: float, likely: bool
) -> None:
    assert decoded(text, average, no_speech).is_likely_speech is likely


@pytest.mark.parametrize("text", [VARIED, LOOPING, "ねこ" * 40, "ж"])
def test_the_compression_ratio_counts_bytes(text: str) -> None:
    found = decoded(text, 0.0).compression_ratio
    assert found == len(text.encode()) / len(zlib.compress(text.encode()))
    assert decoded(text, 0.0).is_good is (found <= 2.4)


def test_the_thresholds_themselves_are_good_enough() -> None:
    assert decoded(VARIED, -1.0).is_good
    assert not decoded(VARIED, -1.001, no_speech=0.6).is_silent


def test_no_text_repeats_nothing() -> None:
    assert compression_ratio("") == 0.0
    assert decoded("", -0.2).is_good
