"""What in a text looks made up: told in the transcript, never deleted from it."""

import re
from collections.abc import Sequence

from neuron_worker.transcript import Doubt

REPEATED_WORDS_MAX = 4
"""A group of up to this many words counts as repeated …"""

REPETITIONS_MIN = 4
"""… when it stands this often in a row: people do say "no, no, no"."""

KNOWN_HALLUCINATIONS = frozenset(
    {
        "amara org",
        "bon appetit",
        "closed captioning by",
        "like and subscribe",
        "please subscribe",
        "please subscribe to my channel",
        "see you in the next video",
        "subs by www zeoranger co uk",
        "subscribe to my channel",
        "subtitles by",
        "subtitles by the amara org community",
        "subtitulos realizados por la comunidad de amara org",
        "sous titres realises para la communaute d amara org",
        "sous titres realises par la communaute d amara org",
        "thank you for watching",
        "thank you so much for watching",
        "thanks for watching",
        "thanks for watching and see you next time",
        "transcription by castingwords",
        "untertitel der amara org community",
        "untertitel im auftrag des zdf fur funk 2017",
    }
)
"""Sentences that Whisper writes where nobody speaks, in plain letters.

Why lists like this one work: arXiv 2501.11378 ("Bag of Hallucinations").
"""

_LETTERS = str.maketrans("áàâäéèêëíìîïóòôöúùûüñç", "aaaaeeeeiiiioooouuuunc")


def doubts(text: str) -> tuple[Doubt, ...]:
    """What speaks against a segment's text."""
    words = re.findall(r"\w+", text.lower().translate(_LETTERS))
    found = []
    if _repeats(words):
        found.append(Doubt.REPETITION)
    if " ".join(words) in KNOWN_HALLUCINATIONS:
        found.append(Doubt.KNOWN_HALLUCINATION)
    return tuple(found)


def _repeats(words: Sequence[str]) -> bool:
    """Whether some group of words stands several times in a row."""
    for size in range(1, REPEATED_WORDS_MAX + 1):
        same = 0
        for index in range(size, len(words)):
            same = same + 1 if words[index] == words[index - size] else 0
            if same >= size * (REPETITIONS_MIN - 1):
                return True
    return False
