import pytest
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from neuron_worker.contract import Task
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.tokens import SpecialTokens, previous_text, prompt_for, text_of


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


def test_an_english_only_prompt_is_one_token(special: SpecialTokens) -> None:
    prompt = prompt_for(special, language=None, task=Task.TRANSCRIBE)
    assert (prompt.previous, prompt.start_of_transcript, prompt.rest) == ((), 50257, ())
    assert len(prompt) == 1


@pytest.mark.parametrize(("task", "token"), [(Task.TRANSCRIBE, 50358), (Task.TRANSLATE, 50357)])
def test_a_multilingual_prompt_names_language_and_task(
    special: SpecialTokens, task: Task, token: int
) -> None:
    prompt = prompt_for(special, language="de", task=task, previous=(50360, 5))
    assert prompt.rest == (special.languages["de"], token)
    assert len(prompt) == 5


def test_no_text_is_no_prompt(tokenizer: Tokenizer, special: SpecialTokens) -> None:
    assert previous_text(tokenizer, special, None, 448) == ()
    assert previous_text(tokenizer, special, "  \n", 448) == ()


def test_the_end_of_a_long_text_is_kept(tokenizer: Tokenizer, special: SpecialTokens) -> None:
    text = " ".join(f"word {number}" for number in range(400))
    tokens = previous_text(tokenizer, special, text, 448)
    assert len(tokens) == 224
    assert tokens[0] == special.start_of_previous
    assert text.endswith(text_of(tokenizer, special, tokens))


def test_a_special_token_spelt_in_a_text_is_text(
    tokenizer: Tokenizer, special: SpecialTokens
) -> None:
    text = "before <|endoftext|> <|nocaptions|> after"
    tokens = previous_text(tokenizer, special, text, 448)
    assert max(tokens[1:]) < special.end_of_text
    assert text_of(tokenizer, special, tokens) == text


def test_text_has_no_special_tokens_and_timestamps(
    tokenizer: Tokenizer, special: SpecialTokens
) -> None:
    hello = tokenizer.encode(" Hello there.", add_special_tokens=False).ids
    tokens = [50363, *hello, 50400, 50400, 50361, 50256]
    assert text_of(tokenizer, special, tokens) == "Hello there."
