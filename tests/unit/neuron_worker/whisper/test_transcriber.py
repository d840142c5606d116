"""How the transcriber shares its rows, with a model that says what a script tells it to.

`test_transcriber_hearing.py` tests what it makes of each window in the same way, and
`test_transcriber_in_speech.py` has it listen to real speech.
"""

from collections.abc import Callable

import pytest

from neuron_worker.contract import Options, Reason, Task
from neuron_worker.speech import Stretch
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.errors import UnsupportedOption
from neuron_worker.whisper.recording import Recording
from tests.scripted import Queued, Said, ScriptedTranscriber, its_time, text_of


def lasting(counts: Callable[[Recording, Stretch], int]) -> Callable[..., Said]:
    """Each window says that many words."""
    return lambda recording, stretch, tries: Said(
        [(0.0, " ".join(f"word{i}" for i in range(counts(recording, stretch))), 20.0)]
    )


def test_no_windows_are_no_transcripts(tiny_en: Checkpoint) -> None:
    assert list(ScriptedTranscriber(tiny_en, 2, its_time).transcribe(Queued([]))) == []


def test_windows_of_several_recordings_share_the_batch_and_none_is_lost(
    tiny_en: Checkpoint,
) -> None:
    transcriber = ScriptedTranscriber(tiny_en, 3, its_time)
    recordings = [transcriber.begin(Options()) for _ in range(3)]
    groups = zip(*(transcriber.windows(one, 4) for one in recordings), strict=True)
    windows = [window for group in groups for window in group]
    found = list(transcriber.transcribe(Queued(windows)))
    told = {(recordings.index(one.recording), one.index): text_of(one) for one in found}
    assert told == {(r, i): f"at {20 * i} s" for r in range(3) for i in range(4)}
    assert len(found) == 12
    assert set().union(*transcriber.model.fed) == {0, 1, 2}
    assert {one.in_rows for one in recordings} == {0}
    assert {one.language for one in recordings} == {"en"}


def test_a_row_that_ends_takes_the_next_window_while_others_go_on(tiny_en: Checkpoint) -> None:
    script = lasting(lambda _, stretch: 60 if stretch.start_seconds == 0 else 1)
    transcriber = ScriptedTranscriber(tiny_en, 2, script)
    windows = transcriber.windows(transcriber.begin(Options()), 6)
    found = [one.index for one in transcriber.transcribe(Queued(windows))]
    assert found == [1, 2, 3, 4, 5, 0]


def test_nobody_waits_for_a_source_that_has_nothing_now(tiny_en: Checkpoint) -> None:
    transcriber = ScriptedTranscriber(tiny_en, 3, its_time)
    first, second = transcriber.windows(transcriber.begin(Options()), 2)
    source = Queued([first, *[None] * 99, second])
    found = transcriber.transcribe(source)
    assert next(found).index == 0
    assert source.left[-1] is second
    assert source.waited[0] is True
    assert True not in source.waited[1:], "it waited although a row had work"
    assert next(found).index == 1
    assert next(found, None) is None


@pytest.mark.parametrize("hears_together", [1, 2, 3, 4])
def test_where_windows_are_cheaper_together_rows_wait_for_each_other(
    hears_together: int, tiny_en: Checkpoint
) -> None:
    script = lasting(lambda _, stretch: 1 + int(stretch.start_seconds / 20) % 5 * 3)
    transcriber = ScriptedTranscriber(tiny_en, 4, script, hears_together)
    source = Queued(transcriber.windows(transcriber.begin(Options()), 16))
    found = transcriber.transcribe(source)
    taken, together = 0, list[int]()
    for _ in found:
        if source.left:
            together.append(16 - len(source.left) - taken)
            taken = 16 - len(source.left)
    assert not source.left
    assert together[0] == 4
    assert all(count == 0 or count >= hears_together for count in together), together
    assert len(transcriber.model.heard) == 16


def test_what_is_overdue_ends_at_once(tiny_en: Checkpoint) -> None:
    transcriber = ScriptedTranscriber(tiny_en, 2, its_time)
    source = Queued(transcriber.windows(transcriber.begin(Options()), 6))
    found = transcriber.transcribe(source)
    next(found)
    source.overdue, steps = True, len(transcriber.model.fed)
    assert len(list(found)) <= 1, "more than what ended in the same step"
    assert len(transcriber.model.fed) == steps


def test_an_abandoned_recording_frees_its_rows(tiny_en: Checkpoint) -> None:
    counted = list[int]()

    def script(recording: Recording, stretch: Stretch, tries: int) -> Said:
        counted.append(1)
        bad.abandoned = len(counted) > 20
        return lasting(lambda recording, _: 80 if recording is bad else 2)(
            recording, stretch, tries
        )

    transcriber = ScriptedTranscriber(tiny_en, 2, script)
    bad, good = transcriber.begin(Options()), transcriber.begin(Options())
    windows = [*transcriber.windows(bad, 2), *transcriber.windows(good, 4)]
    found = list(transcriber.transcribe(Queued(windows)))
    assert [one.recording for one in found] == [good] * 4
    assert len(transcriber.model.fed) < 40, "what was abandoned was decoded to its end"
    assert (bad.in_rows, good.in_rows) == (0, 0)


def test_each_window_is_shown_the_text_before_it_where_that_is_asked_for(
    tiny_en: Checkpoint,
) -> None:
    transcriber = ScriptedTranscriber(tiny_en, 3, its_time)
    shown = transcriber.begin(
        Options(condition_on_previous=True, prompt="The harbour", hotwords=("Wetherby",))
    )
    found = list(transcriber.transcribe(Queued(transcriber.windows(shown, 3))))
    assert [one.index for one in found] == [0, 1, 2], "they must wait for each other"
    assert [prompt.strip() for prompt in transcriber.model.prompts] == [
        "Wetherby The harbour",
        "Wetherby The harbour at 0 s",
        "Wetherby The harbour at 0 s at 20 s",
    ]


def test_windows_that_wait_for_each_other_let_other_recordings_go_on(tiny_en: Checkpoint) -> None:
    script = lasting(lambda recording, _: 1 if recording is shown else 30)
    transcriber = ScriptedTranscriber(tiny_en, 3, script)
    shown = transcriber.begin(Options(condition_on_previous=True))
    other = transcriber.begin(Options())
    source = Queued([*transcriber.windows(other, 2), *transcriber.windows(shown, 4)])
    found = [(one.recording is shown, one.index) for one in transcriber.transcribe(source)]
    assert found[:4] == [(True, index) for index in range(4)]
    assert len(found) == 6
    assert not [prompt for prompt in transcriber.model.prompts if "word29" in prompt]


def test_text_of_a_hot_window_is_shown_to_nobody(tiny_en: Checkpoint) -> None:
    def script(recording: Recording, stretch: Stretch, tries: int) -> Said:
        loops = stretch.start_seconds == 20 and tries < 3
        text = "the boat " * 30 if loops else f"at {stretch.start_seconds:.0f} s"
        return Said([(0.0, text, 20.0)])

    transcriber = ScriptedTranscriber(tiny_en, 2, script)
    recording = transcriber.begin(Options(condition_on_previous=True, prompt="Welcome."))
    found = list(transcriber.transcribe(Queued(transcriber.windows(recording, 4))))
    assert [one.segments[0].temperature for one in found] == [0.0, 0.6, 0.0, 0.0]
    first, *again, third, fourth = (prompt.strip() for prompt in transcriber.model.prompts)
    assert (first, third, fourth) == ("Welcome.", "", "at 40 s")
    assert again == ["Welcome. at 0 s"] * 4


@pytest.mark.parametrize(
    "options", [Options(), Options(language="en"), Options(prompt="Mr. Wetherby")]
)
def test_an_english_only_model_takes_english(tiny_en: Checkpoint, options: Options) -> None:
    assert ScriptedTranscriber(tiny_en, 2, its_time).begin(options).language == "en"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Options(language="de"), "language='de' cannot be met by model 'tiny.en': it knows Eng"),
        (Options(task=Task.TRANSLATE), "task='translate' cannot be met by model 'tiny.en'"),
    ],
)
def test_an_english_only_model_refuses_other_languages(
    tiny_en: Checkpoint, options: Options, told: str
) -> None:
    with pytest.raises(UnsupportedOption) as refused:
        ScriptedTranscriber(tiny_en, 2, its_time).begin(options)
    assert told in str(refused.value)
    assert refused.value.reason is Reason.UNSUPPORTED_OPTION


def test_a_multilingual_model_refuses_a_language_it_does_not_know(
    multilingual: Checkpoint,
) -> None:
    transcriber = ScriptedTranscriber(multilingual, 2, its_time)
    transcriber.check(Options(language="de", task=Task.TRANSLATE))
    with pytest.raises(UnsupportedOption, match=r"language='xx' .*it knows af, am, "):
        transcriber.check(Options(language="xx"))
