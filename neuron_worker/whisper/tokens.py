"""Whisper's special tokens, its prompt, and text to and from tokens."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from tokenizers import Tokenizer

from neuron_worker.contract import Task

_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")

NO_SPEECH_NAMES = ("<|nospeech|>", "<|nocaptions|>")
"""What the token for "no speech" is called: in large-v3's tokenizer, and in all before it."""

RENAMED_LANGUAGES = {"iw": "he"}
"""What the first tokenizers call a language, and what Whisper calls it now (openai/whisper#401)."""


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """The ids that steer Whisper; they differ between models.

    Text tokens come before `end_of_text`, timestamps from `timestamp_begin` to the end.
    `languages` maps codes such as `en` to their tokens.
    """

    end_of_text: int
    start_of_transcript: int
    start_of_previous: int
    translate: int
    transcribe: int
    no_speech: int
    no_timestamps: int
    languages: Mapping[str, int]

    @property
    def timestamp_begin(self) -> int:
        """The token `<|0.00|>`."""
        return self.no_timestamps + 1

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Self:
        """Look the ids up. ValueError when the tokenizer is not a Whisper tokenizer."""
        no_speech = next(filter(tokenizer.token_to_id, NO_SPEECH_NAMES), NO_SPEECH_NAMES[0])
        start = _id(tokenizer, "<|startoftranscript|>")
        translate = _id(tokenizer, "<|translate|>")
        return cls(
            end_of_text=_id(tokenizer, "<|endoftext|>"),
            start_of_transcript=start,
            start_of_previous=_id(tokenizer, "<|startofprev|>"),
            translate=translate,
            transcribe=_id(tokenizer, "<|transcribe|>"),
            no_speech=_id(tokenizer, no_speech),
            no_timestamps=_id(tokenizer, "<|notimestamps|>"),
            languages=dict(_languages(tokenizer, range(start + 1, translate))),
        )


def _languages(tokenizer: Tokenizer, ids: Iterable[int]) -> Iterator[tuple[str, int]]:
    for token in ids:
        if match := _LANGUAGE.fullmatch(tokenizer.id_to_token(token) or ""):
            yield RENAMED_LANGUAGES.get(match[1], match[1]), token


def _id(tokenizer: Tokenizer, token: str) -> int:
    found: int | None = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(f"tokenizer.json has no {token} token, so it is not Whisper's")
    return found


def rest_of_prompt(special: SpecialTokens, language: str | None, task: Task) -> tuple[int, ...]:
    """What follows `<|startoftranscript|>`: language and task.

    `language` is None exactly for an English-only model, which is fed neither.
    """
    if language is None:
        return ()
    task_token = special.translate if task is Task.TRANSLATE else special.transcribe
    return (special.languages[language], task_token)


def prompt_tokens(tokenizer: Tokenizer, text: str | None) -> tuple[int, ...]:
    """The tokens of a text to go before the transcript; a special token spelt out in it is text."""
    if not text or not text.strip():
        return ()
    return tuple(tokenizer.encode(f" {text.strip()}", add_special_tokens=False).ids)


def start_of_prompt(
    special: SpecialTokens,
    previous: Sequence[int],
    context_tokens: int,
    hotwords: Sequence[int] = (),
) -> tuple[int, ...]:
    """`<|startoftranscript|>`, after `<|startofprev|>`, hotwords and the end of `previous` if any.

    Half of the decoder's context, less one, is kept for them (openai/whisper, decoding.py,
    `_get_initial_tokens`), at most half of that for the hotwords.
    """
    if not previous and not hotwords:
        return (special.start_of_transcript,)
    room = context_tokens // 2 - 1
    expected = tuple(hotwords[: room // 2])
    said = tuple(previous[max(0, len(previous) - (room - len(expected))) :])
    return (special.start_of_previous, *expected, *said, special.start_of_transcript)


def text_of(tokenizer: Tokenizer, special: SpecialTokens, tokens: Iterable[int]) -> str:
    """The text of the tokens, without special tokens and timestamps, trimmed."""
    text: str = tokenizer.decode([token for token in tokens if token < special.end_of_text])
    return text.strip()
