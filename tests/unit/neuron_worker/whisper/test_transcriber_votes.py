"""How recordings get their language: by vote, as given, or from an attempt before."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from neuron_worker.contract import Options, Task
from neuron_worker.speech import Stretch
from neuron_worker.transcript import Segment
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.recording import Recording
from tests.scripted import Queued, Said, ScriptedTranscriber, its_time, text_of

GERMAN, ENGLISH = {"de": 0.9, "en": 0.1}, {"de": 0.3, "en": 0.7}


def sounding(
    *languages: dict[str, float], no_speech: tuple[float, ...] = ()
) -> Callable[..., Said]:
    """Windows of 20 s sound like these languages, one after another."""

    def script(recording: Recording, stretch: Stretch, tries: int) -> Said:
        index = min(int(stretch.start_seconds / 20), len(languages) - 1)
        silent = no_speech[index] if index < len(no_speech) else 0.0
        said = its_time(recording, stretch, tries)
        return replace(said, languages=languages[index], no_speech=silent)

    return script


@pytest.fixture
def multilingual(tiny_en: Checkpoint) -> Checkpoint:
    """tiny.en's configuration and vocabulary, called multilingual."""
    return replace(tiny_en, generation=replace(tiny_en.generation, is_multilingual=True))


def test_an_abandoned_recording_that_waits_for_its_language_frees_its_rows(
    multilingual: Checkpoint,
) -> None:
    transcriber = ScriptedTranscriber(multilingual, 2, its_time)
    bad, good = transcriber.begin(Options()), transcriber.begin(Options())
    first, *_ = transcriber.windows(bad, 4)

    def abandon() -> None:
        bad.abandoned = True

    source = Queued([first, abandon, *transcriber.windows(good, 4)])
    found = list(transcriber.transcribe(source))
    assert sorted(one.index for one in found) == [0, 1, 2, 3]
    assert {one.recording for one in found} == {good}


def test_rows_wait_for_the_vote_of_three_windows_and_lose_nothing(
    multilingual: Checkpoint,
) -> None:
    transcriber = ScriptedTranscriber(multilingual, 4, sounding(ENGLISH, GERMAN, GERMAN, ENGLISH))
    recording = transcriber.begin(Options(task=Task.TRANSLATE))
    first, second, third, *others = transcriber.windows(recording, 6)
    source = Queued([first, None, second, None, third, *others])
    found = list(transcriber.transcribe(source))
    assert sorted((one.index, text_of(one)) for one in found) == [
        (index, f"at {20 * index} s") for index in range(6)
    ]
    assert recording.language == "de"
    assert recording.language_probability == pytest.approx((0.3 + 0.9 + 0.9) / 3, abs=1e-4)
    assert transcriber.model.asked == ["<|de|><|translate|>"] * 6


@pytest.mark.parametrize(("count", "language"), [(1, "en"), (2, "de"), (3, "de")])
def test_a_short_recording_elects_with_the_windows_it_has(
    count: int, language: str, multilingual: Checkpoint
) -> None:
    transcriber = ScriptedTranscriber(multilingual, 4, sounding(ENGLISH, GERMAN, GERMAN))
    recording = transcriber.begin(Options())
    found = list(transcriber.transcribe(Queued(transcriber.windows(recording, count))))
    assert len(found) == count
    assert recording.language == language
    assert set(transcriber.model.asked) == {f"<|{language}|><|transcribe|>"}


def test_a_silent_first_window_has_no_say(multilingual: Checkpoint) -> None:
    script = sounding({"en": 1.0}, GERMAN, no_speech=(0.97, 0.0))
    transcriber = ScriptedTranscriber(multilingual, 4, script)
    recording = transcriber.begin(Options())
    list(transcriber.transcribe(Queued(transcriber.windows(recording, 2))))
    assert recording.language == "de"


def test_a_given_language_is_never_voted_on(multilingual: Checkpoint) -> None:
    transcriber = ScriptedTranscriber(multilingual, 2, sounding(ENGLISH))
    recording = transcriber.begin(Options(language="haw"))
    windows = transcriber.windows(recording, 3)
    found = transcriber.transcribe(Queued([windows[0], *[None] * 99, *windows[1:]]))
    assert next(found).index == 0, "it waited for other windows"
    assert len(list(found)) == 2
    assert (recording.language, recording.language_probability) == ("haw", None)
    assert transcriber.model.asked == ["<|haw|><|transcribe|>"] * 3


@pytest.mark.parametrize("hears_together", [1, 2])
@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("channels", [2, 5])
def test_channels_that_are_read_side_by_side_never_block_each_other(
    channels: int, batch_size: int, hears_together: int, multilingual: Checkpoint
) -> None:
    """Every row can hold a window whose recording has not voted yet: then some vote early."""
    script = sounding(GERMAN)
    transcriber = ScriptedTranscriber(multilingual, batch_size, script, hears_together)
    recordings = [transcriber.begin(Options()) for _ in range(channels)]
    groups = zip(*(transcriber.windows(one, 4) for one in recordings), strict=True)
    found = list(transcriber.transcribe(Queued([one for group in groups for one in group])))
    assert len(found) == 4 * channels
    assert {one.language for one in recordings} == {"de"}


@pytest.mark.parametrize("done", [1, 2, 3])
def test_a_recording_is_resumed_with_the_language_and_text_it_had(
    done: int, multilingual: Checkpoint
) -> None:
    options = Options(condition_on_previous=True, prompt="Welcome.")
    undisturbed = ScriptedTranscriber(multilingual, 3, sounding(GERMAN, ENGLISH))
    recording = undisturbed.begin(options)
    expected = list(undisturbed.transcribe(Queued(undisturbed.windows(recording, 4))))

    transcriber = ScriptedTranscriber(multilingual, 3, sounding(GERMAN, ENGLISH))
    again = transcriber.begin(options)
    texts: list[tuple[Segment, ...]] = [one.segments for one in expected[:done]]
    transcriber.resume(again, recording.language, recording.language_probability, texts)
    source = Queued(transcriber.windows(again, 4)[done:])
    found = list(transcriber.transcribe(source))
    assert [one.segments for one in found] == [one.segments for one in expected[done:]]
    assert transcriber.model.prompts == undisturbed.model.prompts[done:]
    assert transcriber.model.asked == undisturbed.model.asked[done:]
    assert (again.language, again.language_probability) == (
        recording.language,
        recording.language_probability,
    )


def test_a_resumed_recording_keeps_the_language_that_was_given(multilingual: Checkpoint) -> None:
    transcriber = ScriptedTranscriber(multilingual, 2, its_time)
    recording = transcriber.begin(Options(language="de"))
    transcriber.resume(recording, "en", 0.9, [])
    assert (recording.language, recording.language_probability) == ("de", None)
