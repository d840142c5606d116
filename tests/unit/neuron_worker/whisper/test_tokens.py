import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from neuron_worker.contract import Task
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.tokens import (
    NO_SPEECH_NAMES,
    SpecialTokens,
    prompt_tokens,
    rest_of_prompt,
    start_of_prompt,
    text_of,
)


@pytest.fixture(scope="module")
def tokenizer(tiny_en: Checkpoint) -> Tokenizer:
    return tiny_en.tokenizer


@pytest.fixture(scope="module")
def special(tokenizer: Tokenizer) -> SpecialTokens:
    return SpecialTokens.of(tokenizer)


def test_the_special_tokens_of_tiny_en_are_whispers(special: SpecialTokens) -> None:
    """The ids are those of openai/whisper's tokenizer for English-only models."""
    assert special.end_of_text == 50256
    assert special.start_of_transcript == 50257
    assert special.translate == 50357
    assert special.transcribe == 50358
    assert special.start_of_previous == 50360
    assert special.no_speech == 50361
    assert special.timestamp_begin == 50363
    assert special.languages["en"] == 50258
    assert list(special.languages) == [code for code in LANGUAGES if code != "yue"]


def test_another_tokenizer_is_refused() -> None:
    with pytest.raises(ValueError, match="not Whisper's"):
        SpecialTokens.of(Tokenizer(WordLevel({"hello": 0}, unk_token="hello")))


def test_an_english_only_model_is_told_nothing_after_the_start(special: SpecialTokens) -> None:
    assert rest_of_prompt(special, None, Task.TRANSCRIBE) == ()


@pytest.mark.parametrize(("task", "token"), [(Task.TRANSCRIBE, 50358), (Task.TRANSLATE, 50357)])
def test_a_multilingual_model_is_told_language_and_task(
    special: SpecialTokens, task: Task, token: int
) -> None:
    assert rest_of_prompt(special, "de", task) == (special.languages["de"], token)


@pytest.mark.parametrize("text", [None, "", "  \n"])
def test_no_text_is_no_prompt(tokenizer: Tokenizer, special: SpecialTokens, text: str) -> None:
    assert prompt_tokens(tokenizer, text) == ()
    assert start_of_prompt(special, (), 448) == (special.start_of_transcript,)


def test_a_prompt_goes_before_the_start(tokenizer: Tokenizer, special: SpecialTokens) -> None:
    """A space goes before the first word, as Whisper writes it (openai/whisper, decoding.py)."""
    previous = prompt_tokens(tokenizer, "\n Mr. Wetherby ")
    assert tokenizer.decode(list(previous)) == " Mr. Wetherby"
    assert start_of_prompt(special, previous, 448) == (
        special.start_of_previous,
        *previous,
        special.start_of_transcript,
    )


@pytest.mark.parametrize("count", [222, 223, 224, 1000])
def test_the_end_of_a_long_text_is_kept(special: SpecialTokens, count: int) -> None:
    """openai/whisper keeps `n_text_ctx // 2 - 1` tokens of it."""
    previous = tuple(range(count))
    start = start_of_prompt(special, previous, 448)
    assert start == (special.start_of_previous, *previous[-223:], special.start_of_transcript)
    assert len(start) == min(count, 223) + 2


@pytest.mark.parametrize(("hot", "said"), [(3, 10), (3, 500), (0, 500), (200, 500), (111, 112)])
def test_hotwords_stay_in_view_in_front_and_leave_room_for_what_was_said(
    special: SpecialTokens, hot: int, said: int
) -> None:
    hotwords, previous = tuple(range(1000, 1000 + hot)), tuple(range(said))
    first, *prompt, last = start_of_prompt(special, previous, 448, hotwords)
    assert (first, last) == (special.start_of_previous, special.start_of_transcript)
    shown = min(hot, 111)
    assert tuple(prompt[:shown]) == hotwords[:shown]
    assert tuple(prompt[shown:]) == previous[-min(said, 223 - shown) :]


def test_hotwords_alone_are_a_prompt(special: SpecialTokens) -> None:
    expected = (special.start_of_previous, 7, 8, special.start_of_transcript)
    assert start_of_prompt(special, (), 448, (7, 8)) == expected


def test_a_special_token_spelt_in_a_text_is_text(
    tokenizer: Tokenizer, special: SpecialTokens
) -> None:
    text = "before <|endoftext|> <|nocaptions|> after"
    tokens = prompt_tokens(tokenizer, text)
    assert max(tokens) < special.end_of_text
    assert text_of(tokenizer, special, tokens) == text


def test_text_has_no_special_tokens_and_timestamps(
    tokenizer: Tokenizer, special: SpecialTokens
) -> None:
    hello = tokenizer.encode(" Hello there.", add_special_tokens=False).ids
    tokens = [50363, *hello, 50400, 50400, 50361, 50256]
    assert text_of(tokenizer, special, tokens) == "Hello there."


@pytest.mark.parametrize("name", NO_SPEECH_NAMES)
def test_no_speech_is_known_by_its_old_and_its_new_name(name: str) -> None:
    """`<|nospeech|>` in large-v3's tokenizer, `<|nocaptions|>` in those before it."""
    names = ("endoftext", "startoftranscript", "translate", "transcribe", "startofprev")
    ids = {f"<|{known}|>": index for index, known in enumerate((*names, "notimestamps"))}
    tokenizer = Tokenizer(WordLevel({**ids, name: 99}, unk_token="<|endoftext|>"))
    assert SpecialTokens.of(tokenizer).no_speech == 99


def test_the_first_tokenizers_call_hebrew_by_its_old_code() -> None:
    names = ("endoftext", "startoftranscript", "en", "iw", "translate", "transcribe")
    rest = ("startofprev", "nospeech", "notimestamps")
    ids = {f"<|{known}|>": index for index, known in enumerate((*names, *rest))}
    special = SpecialTokens.of(Tokenizer(WordLevel(ids, unk_token="<|endoftext|>")))
    assert special.languages == {"en": 2, "he": 3}
