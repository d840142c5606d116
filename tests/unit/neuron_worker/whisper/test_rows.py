"""Rows that decode beside each other, against transformers' own greedy search."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pytest
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers.models.whisper.modeling_whisper import WhisperForConditionalGeneration

from neuron_worker.contract import Task
from neuron_worker.speech import Window
from neuron_worker.whisper.checkpoint import Checkpoint, Generation
from neuron_worker.whisper.cpu import CpuModel
from neuron_worker.whisper.decoding import Rules, Sampling
from neuron_worker.whisper.fallback import Decoded
from neuron_worker.whisper.mel import log_mel
from neuron_worker.whisper.rows import Row, Rows
from neuron_worker.whisper.runtime import Feed
from neuron_worker.whisper.tokens import (
    SpecialTokens,
    prompt_tokens,
    rest_of_prompt,
    start_of_prompt,
)
from tests.transformers_greedy import encoded_by, transformers_greedy

pytestmark = pytest.mark.usefixtures("inference")

Compile = Callable[[Checkpoint, int], CpuModel]

PROMPTS = {
    "none": "",
    "short": "The harbour office, Mr. Wetherby and the archive.",
    "too long": "We went down to the sea, and there were boats and fog and many old tapes. " * 16,
}


@dataclass(frozen=True, eq=False)
class Spoken:
    """A window with what goes before its transcript, and what transformers makes of it."""

    mel: Tensor
    start: tuple[int, ...]
    rest: tuple[int, ...]
    expected: Decoded


@pytest.fixture
def inference() -> Iterator[None]:
    with torch.inference_mode():
        yield


def rules_of(checkpoint: Checkpoint) -> Rules:
    special = SpecialTokens.of(checkpoint.tokenizer)
    return Rules(special, checkpoint.generation, checkpoint.config.vocab_size)


def decoded_together(
    model: CpuModel, rules: Rules, tokenizer: Tokenizer, work: Sequence[Spoken], seed: int
) -> list[Decoded]:
    """Decode in rows that begin at random moments, each with the next piece of work."""
    chance = random.Random(seed)
    rows = Rows(model, rules, tokenizer)
    waiting, busy = list(enumerate(work)), dict[int, Row]()
    found = dict[int, Decoded]()
    while waiting or busy:
        free = set(range(model.batch_size)) - {row.index for row in busy.values()}
        for index in sorted(free, key=lambda _: chance.random()):
            if waiting and (not busy or chance.random() < 0.1):
                number, spoken = waiting.pop(0)
                model.hear([index], spoken.mel.unsqueeze(0))
                rest = None if spoken.rest and chance.random() < 0.5 else spoken.rest
                busy[number] = Row(index, spoken.start, rest, Sampling(0))
        for number, row in busy.items():
            if row.waits and chance.random() < 0.3:
                row.rest = work[number].rest
        rows.step(list(busy.values()))
        for number in [number for number, row in busy.items() if row.ended]:
            found[number] = rows.decoded(busy.pop(number))
    return [found[number] for number in range(len(work))]


def assert_same(ours: Sequence[Decoded], work: Sequence[Spoken]) -> None:
    for mine, spoken in zip(ours, work, strict=True):
        theirs = spoken.expected
        assert mine.tokens == theirs.tokens
        assert (mine.temperature, mine.cut_short) == (0.0, theirs.cut_short)
        assert mine.average_log_probability == pytest.approx(
            theirs.average_log_probability, abs=1e-4
        )
        assert mine.no_speech_probability == pytest.approx(theirs.no_speech_probability, abs=1e-4)


@pytest.fixture(scope="module")
def spoken(
    tiny_en: Checkpoint,
    transformers_tiny_en: WhisperForConditionalGeneration,
    recordings: dict[str, list[Window]],
) -> list[Spoken]:
    """All windows of all recordings, after each of the prompts."""
    rules = rules_of(tiny_en)
    windows = [window for of_one in recordings.values() for window in of_one]
    mels = torch.stack([log_mel(window.samples, 80) for window in windows])
    encoded = encoded_by(transformers_tiny_en, mels)

    def after(prompt: str) -> Iterator[Spoken]:
        previous = prompt_tokens(tiny_en.tokenizer, prompt)
        start = start_of_prompt(rules.special, previous, 448)
        theirs = transformers_greedy(transformers_tiny_en, encoded, start, (), rules)
        for mel, expected in zip(mels, theirs, strict=True):
            yield Spoken(mel, start, (), expected)

    return [one for prompt in PROMPTS.values() for one in after(prompt)]


def test_rows_that_begin_and_end_at_any_moment_decode_to_transformers_greedy_tokens(
    tiny_en: Checkpoint, compiled: Compile, spoken: list[Spoken]
) -> None:
    assert len(spoken) == 3 * 6
    assert max(len(one.start) for one in spoken) == 225
    assert min(len(one.expected.tokens) for one in spoken) > 20
    work = random.Random(0).sample(spoken, len(spoken))
    model, rules = compiled(tiny_en, 4), rules_of(tiny_en)
    assert_same(decoded_together(model, rules, tiny_en.tokenizer, work, 0), work)


def test_the_text_is_that_of_the_tokens(
    tiny_en: Checkpoint, compiled: Compile, spoken: list[Spoken]
) -> None:
    [found] = decoded_together(
        compiled(tiny_en, 1), rules_of(tiny_en), tiny_en.tokenizer, spoken[:1], seed=0
    )
    assert found.text == tiny_en.tokenizer.decode(list(found.tokens)).strip()
    assert len(found.text) > 100


@pytest.fixture(scope="module")
def foreign(
    base: Checkpoint,
    transformers_base: WhisperForConditionalGeneration,
    foreign_speech: list[tuple[Window, str, str]],
) -> list[Spoken]:
    """Foreign speech, transcribed and translated, once after a prompt."""
    rules = rules_of(base)
    found = list[Spoken]()
    for window, language, text in foreign_speech:
        mel = log_mel(window.samples, 80)
        encoded = encoded_by(transformers_base, mel.unsqueeze(0))
        for task, prompt in ((Task.TRANSCRIBE, ""), (Task.TRANSLATE, ""), (Task.TRANSCRIBE, text)):
            previous = prompt_tokens(base.tokenizer, prompt)
            start = start_of_prompt(rules.special, previous, 448)
            rest = rest_of_prompt(rules.special, language, task)
            [expected] = transformers_greedy(transformers_base, encoded, start, rest, rules)
            found.append(Spoken(mel, start, rest, expected))
    return found


def test_a_multilingual_model_transcribes_and_translates_as_transformers_does(
    base: Checkpoint, compiled: Compile, foreign: list[Spoken]
) -> None:
    assert len({one.expected.tokens for one in foreign}) >= 4
    model = compiled(base, 3)
    assert_same(decoded_together(model, rules_of(base), base.tokenizer, foreign, 2), foreign)


@pytest.fixture(scope="module")
def spoken_in_many(
    multilingual: Checkpoint,
    with_weights: Callable[[Checkpoint], WhisperForConditionalGeneration],
) -> list[Spoken]:
    """Noise, transcribed and translated from several languages, with and without prompts."""
    rules = rules_of(multilingual)
    reference = with_weights(multilingual)
    mels = torch.randn(3, 80, 100, generator=torch.Generator().manual_seed(7))
    encoded = encoded_by(reference, mels)
    return [
        Spoken(mel, start, rest, expected)
        for previous in ((), (90, 91, 92), tuple(range(100, 140)))
        for language in ("de", "ja")
        for task in Task
        for start in [start_of_prompt(rules.special, previous, 32)]
        for rest in [rest_of_prompt(rules.special, language, task)]
        for mel, expected in zip(
            mels, transformers_greedy(reference, encoded, start, rest, rules), strict=True
        )
    ]


@pytest.mark.parametrize("seed", range(4))
def test_rows_of_other_languages_and_tasks_share_a_batch(
    seed: int, multilingual: Checkpoint, compiled: Compile, spoken_in_many: list[Spoken]
) -> None:
    """Each as transformers decodes it, whether it had to wait for its language or not."""
    assert len({one.expected.tokens for one in spoken_in_many}) > 12
    work = random.Random(seed).sample(spoken_in_many, len(spoken_in_many))
    model, rules = compiled(multilingual, 2 + seed), rules_of(multilingual)
    assert_same(decoded_together(model, rules, multilingual.tokenizer, work, seed), work)


SMALL = SpecialTokens(
    end_of_text=0,
    start_of_transcript=1,
    start_of_previous=2,
    translate=3,
    transcribe=4,
    no_speech=5,
    no_timestamps=139,
    languages={"en": 6, "de": 7, "fr": 8},
)


def endless_rows(small: Checkpoint, compiled: Compile, seed: int = 3) -> tuple[CpuModel, Rows]:
    """Rows of a model that never chooses to end, and has heard noise in row 0."""
    endless = Generation(is_multilingual=False, suppress_tokens=(0,), begin_suppress_tokens=())
    model = compiled(small, 2)
    model.hear([0], torch.randn(1, 80, 100, generator=torch.Generator().manual_seed(seed)))
    return model, Rows(model, Rules(SMALL, endless, 180), small.tokenizer)


@pytest.mark.parametrize(
    ("start", "rest", "bound"),
    [
        ((1,), (), 24),
        ((2, *range(10, 32), 1), (), 24),
        ((2, *range(10, 32), 1), (6, 4), 23),
        ((2, *range(10, 50), 1), (6, 4), 5),
    ],
)
def test_a_row_that_never_ends_is_stopped_at_half_the_context_or_its_end(
    start: tuple[int, ...], rest: tuple[int, ...], bound: int, small: Checkpoint, compiled: Compile
) -> None:
    _, rows = endless_rows(small, compiled)
    row = Row(0, start, rest, Sampling(0))
    while not row.ended:
        rows.step([row])
    decoded = rows.decoded(row)
    assert len(decoded.tokens) == len(row.chosen) == bound
    assert decoded.cut_short
    assert decoded.average_log_probability == pytest.approx(row.log_probability / bound)


def test_a_row_waits_for_its_language_and_nothing_else_does(
    small: Checkpoint, compiled: Compile
) -> None:
    model, rows = endless_rows(small, compiled)
    model.hear([1], torch.randn(1, 80, 100))
    waiting, other = Row(0, (1,), None, Sampling(0)), Row(1, (1,), (), Sampling(0))
    for count in range(1, 6):
        rows.step([waiting, other])
        assert (waiting.waits, waiting.position, waiting.chosen) == (True, 1, [])
        assert len(other.chosen) == count
    rows.step([waiting])
    assert waiting.waits
    assert waiting.start_logits is not None
    expected = waiting.start_logits.softmax(-1)[SMALL.no_speech].item()
    assert waiting.no_speech_probability == pytest.approx(expected)
    waiting.rest = (7, 4)
    rows.step([waiting])
    assert (waiting.position, len(waiting.chosen)) == (3, 1)


def test_what_a_row_sounded_like_at_its_start_is_kept(small: Checkpoint, compiled: Compile) -> None:
    """The rules use the logits up from which it chooses."""
    model, rows = endless_rows(small, compiled)
    row = Row(0, (1,), (), Sampling(0))
    rows.step([row])
    assert len(row.chosen) == 1
    assert row.start_logits is not None
    [expected] = model.step([Feed(0, 0, (1,))])
    torch.testing.assert_close(row.start_logits, expected)


def test_a_row_that_decodes_again_forgets_its_text_alone(
    small: Checkpoint, compiled: Compile
) -> None:
    _, rows = endless_rows(small, compiled)

    def finish(row: Row) -> Decoded:
        while not row.ended:
            rows.step([row])
        return rows.decoded(row)

    row = Row(0, (2, 20, 21, 1), (6, 4), Sampling(9))
    first = finish(row)
    row.again(Sampling(9, 0.8))
    assert row.feed().tokens == (4,), "more than the last of its prompt is fed again"
    hot = finish(row)
    assert (hot.temperature, first.temperature) == (0.8, 0.0)
    assert hot.tokens != first.tokens
    assert hot.no_speech_probability == first.no_speech_probability
    for sampling, before in ((Sampling(9, 0.0), first), (Sampling(9, 0.8), hot)):
        row.again(sampling)
        found = finish(row)
        assert found.tokens == before.tokens
        expected = pytest.approx(before.average_log_probability, abs=1e-5)
        assert found.average_log_probability == expected
