from collections.abc import Mapping

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuron_worker.whisper.ballot import SPEECH_MIN, VOTES, Ballot, language_probabilities
from neuron_worker.whisper.tokens import SpecialTokens

GERMAN = {"en": 0.1, "de": 0.9}
ENGLISH = {"en": 0.7, "de": 0.3}


def elected(
    *votes: tuple[Mapping[str, float], float], seats: int = VOTES, windows: int | None = None
) -> tuple[str, float] | None:
    ballot = Ballot(seats)
    for window, (chances, speech) in enumerate(votes):
        ballot.vote(window, chances, speech)
    return ballot.winner(windows)


def test_three_windows_vote_each_as_heavy_as_its_speech() -> None:
    language, probability = elected((ENGLISH, 1.0), (GERMAN, 0.5), (GERMAN, 0.5)) or ("", 0.0)
    assert language == "de"
    assert probability == pytest.approx(0.6)


def test_nobody_wins_while_votes_are_missing() -> None:
    assert elected() is None
    assert elected((ENGLISH, 1.0), (ENGLISH, 1.0)) is None
    assert elected((ENGLISH, 1.0), (ENGLISH, 1.0), windows=4) is None
    assert elected((ENGLISH, 1.0), (ENGLISH, 1.0), (ENGLISH, 1.0)) is not None


@pytest.mark.parametrize("windows", [1, 2])
def test_a_short_recording_elects_with_what_it_has(windows: int) -> None:
    votes = [(GERMAN, 0.8)] * windows
    assert elected(*votes, windows=None) is None
    assert elected(*votes, windows=windows) == ("de", pytest.approx(0.9))


def test_a_silent_first_window_has_no_say() -> None:
    """Its language is a guess over noise."""
    silent = ({"en": 0.99, "de": 0.01}, 0.02)
    assert elected(silent, (GERMAN, 0.95), windows=2) == ("de", pytest.approx(0.883, abs=0.01))


def test_windows_of_noise_alone_still_elect() -> None:
    assert elected((GERMAN, 0.0), (GERMAN, -1e-9), (ENGLISH, 0.0)) is not None
    assert elected((GERMAN, 0.0), (ENGLISH, SPEECH_MIN / 2), windows=2) == ("de", 0.6)


def test_windows_without_a_seat_do_not_vote() -> None:
    """So that the language does not depend on which window is heard first."""
    ballot = Ballot(2)
    for window in (3, 1, 2):
        ballot.vote(window, GERMAN, 1.0)
    assert ballot.winner(None) is None
    ballot.vote(0, ENGLISH, 1.0)
    assert ballot.winner(None) == ("de", pytest.approx(0.6))


def test_a_ballot_that_is_closed_elects_with_the_votes_it_has() -> None:
    ballot = Ballot(3)
    ballot.vote(0, ENGLISH, 1.0)
    ballot.vote(1, GERMAN, 1.0)
    assert ballot.winner(None) is None
    ballot.close()
    assert ballot.winner(None) == ("de", pytest.approx(0.6))
    ballot.vote(2, {"en": 1.0, "de": 0.0}, 1.0)
    assert ballot.winner(None) == ("de", pytest.approx(0.6))


@given(st.permutations(range(3)), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_the_order_in_which_windows_vote_does_not_matter(
    order: list[int], speech: list[float]
) -> None:
    chances = [{"en": 0.2, "de": 0.3, "fr": 0.5}, {"en": 0.6, "de": 0.3, "fr": 0.1}, {**GERMAN}]
    chances[2]["fr"] = 0.0
    ballot, ordered = Ballot(), Ballot()
    for window in order:
        ballot.vote(window, chances[window], speech[window])
    for window in range(3):
        ordered.vote(window, chances[window], speech[window])
    assert ballot.winner(None) == ordered.winner(None)


def test_a_vote_cast_twice_counts_once() -> None:
    ballot = Ballot(2)
    for _ in range(5):
        ballot.vote(0, ENGLISH, 1.0)
    assert ballot.winner(None) is None
    ballot.vote(1, GERMAN, 1.0)
    assert ballot.winner(None) == ("de", pytest.approx(0.6))


def test_languages_are_weighed_among_themselves() -> None:
    special = SpecialTokens(0, 1, 2, 3, 4, 5, 139, {"en": 6, "de": 7, "fr": 9})
    logits = torch.randn(180, generator=torch.Generator().manual_seed(2))
    logits[50] = 1e4
    found = language_probabilities(logits, special)
    assert list(found) == ["en", "de", "fr"]
    expected = logits[[6, 7, 9]].exp()
    assert list(found.values()) == pytest.approx((expected / expected.sum()).tolist())
