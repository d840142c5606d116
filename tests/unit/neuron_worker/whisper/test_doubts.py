import pytest

from neuron_worker.transcript import Doubt
from neuron_worker.whisper.doubts import KNOWN_HALLUCINATIONS, REPEATED_WORDS_MAX, doubts


@pytest.mark.parametrize(
    "text",
    [
        "no no no no",
        "No. No! No, no?",
        "So I said the boat the boat the boat the boat is late",
        "one two three four " * 4,
        "Ja, ja, ja, ja.",
    ],
)
def test_the_same_words_four_times_in_a_row_are_a_repetition(text: str) -> None:
    assert doubts(text) == (Doubt.REPETITION,)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "no no no",
        "no no no, yes no no no",
        "one two three four five " * 4,
        "the boat and the boat and the boat is late",
        "A few tapes were broken, but a careful hand can save almost all of them.",
    ],
)
def test_what_people_say_is_no_repetition(text: str) -> None:
    assert doubts(text) == ()


@pytest.mark.parametrize("size", range(1, REPEATED_WORDS_MAX + 1))
def test_groups_of_words_count_when_they_are_whole(size: int) -> None:
    words = [f"word{index}" for index in range(size)]
    assert doubts(" ".join(words * 4)) == (Doubt.REPETITION,)
    assert doubts(" ".join((words * 4)[:-1])) == ()


@pytest.mark.parametrize(
    "text",
    [
        "Thanks for watching!",
        " thank you for watching. ",
        "Subtitles by the Amara.org community",
        "Sous-titres réalisés para la communauté d'Amara.org",
        "Untertitel im Auftrag des ZDF für funk, 2017",
        "Subtítulos realizados por la comunidad de Amara.org",
    ],
)
def test_what_whisper_writes_over_silence_is_known(text: str) -> None:
    assert doubts(text) == (Doubt.KNOWN_HALLUCINATION,)


def test_a_known_sentence_inside_another_is_said() -> None:
    assert doubts("At the end he said thanks for watching and left.") == ()


@pytest.mark.parametrize("sentence", sorted(KNOWN_HALLUCINATIONS))
def test_every_known_sentence_is_found_however_it_is_written(sentence: str) -> None:
    """The list is in the plain letters that texts are compared in."""
    assert Doubt.KNOWN_HALLUCINATION in doubts(sentence.title() + ".")
