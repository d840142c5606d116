"""What the transcriber hears again: what the decoder leaves, passes over or says too little of.

A model says what a script tells it to, so that every way a window can go is gone.
"""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_worker.contract import Options, TimestampLevel
from neuron_worker.speech import Stretch
from neuron_worker.transcript import Doubt
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.recording import Recording
from tests.scripted import (
    FULL,
    LOOPING,
    Queued,
    Said,
    ScriptedTranscriber,
    at_first,
    by_start,
    hear,
)


def words(count: int, seed: int) -> str:
    """Numbers of three digits, each a token."""
    return " ".join(map(str, random.Random(seed).sample(range(100, 1000), count)))


def test_segments_say_when_they_were_said_and_how_sure_they_are(tiny_en: Checkpoint) -> None:
    said = Said([(1.0, "Good morning.", 2.5), (3.0, "Thanks for watching.", 4.0)], no_speech=0.25)
    transcript, heard = hear(tiny_en, at_first(said))
    assert heard == [(0.0, 20.0)]
    first, second = transcript.segments
    assert (first.start_seconds, first.end_seconds) == (1.0, 2.5)
    assert (first.text, first.doubts, first.words) == ("Good morning.", (), ())
    assert (second.text, second.doubts) == ("Thanks for watching.", (Doubt.KNOWN_HALLUCINATION,))
    for segment in transcript.segments:
        assert segment.average_log_probability == pytest.approx(0.0, abs=0.01)
        assert segment.no_speech_probability == pytest.approx(0.25, abs=0.01)
        assert 0.5 < segment.compression_ratio < 1.5
        assert (segment.temperature, segment.channel) == (0.0, None)


def test_what_the_decoder_leaves_for_the_next_window_is_heard_now(tiny_en: Checkpoint) -> None:
    script = {
        0.0: Said([(0.0, "One.", 4.0)], ending=[4.0]),
        4.0: Said([(0.0, "Two.", 5.0)], ending=[5.0]),
        9.0: Said([(0.0, "Three.", 10.5)]),
    }
    transcript, heard = hear(tiny_en, by_start(script))
    assert heard == [(0.0, 20.0), (4.0, 20.0), (9.0, 20.0)]
    assert [(s.start_seconds, s.end_seconds, s.text) for s in transcript.segments] == [
        (0.0, 4.0, "One."),
        (4.0, 9.0, "Two."),
        (9.0, 19.5, "Three."),
    ]


def test_a_row_that_stops_while_somebody_speaks_on_says_the_rest(tiny_en: Checkpoint) -> None:
    said = Said([(0.0, "One.", 4.0)], ending=[4.0], more=Said([(4.0, "Two, and three.", 19.0)]))
    transcript, heard = hear(tiny_en, at_first(said), speech=[(2, 4), (15, 19)])
    assert heard == [(0.0, 20.0)], "another pass of the encoder"
    assert [(s.start_seconds, s.end_seconds, s.text) for s in transcript.segments] == [
        (0.0, 4.0, "One."),
        (4.0, 19.0, "Two, and three."),
    ]
    for segment in transcript.segments:
        assert segment.average_log_probability == pytest.approx(0.0, abs=0.01)


def test_a_row_says_more_as_often_as_it_stops_too_early(tiny_en: Checkpoint) -> None:
    """And what it cannot go on from is heard by itself."""
    more = Said([(4.0, "Two, and three.", 9.0)], ending=[9.0])
    script = {
        0.0: Said([(0.0, "One.", 4.0)], ending=[4.0], more=more),
        9.0: Said([(0.0, "Four.", 11.0)]),
    }
    transcript, heard = hear(tiny_en, by_start(script), speech=[(2, 4), (5, 8), (9, 11)])
    assert heard == [(0.0, 20.0), (9.0, 20.0)]
    assert [s.text for s in transcript.segments] == ["One.", "Two, and three.", "Four."]
    for segment in transcript.segments:
        assert segment.average_log_probability == pytest.approx(0.0, abs=0.1)


@pytest.mark.parametrize(
    "more",
    [
        Said([(4.0, "Perhaps it was this.", 19.0)], sure=False),
        Said([(4.0, LOOPING, 19.0)]),
        Said([(4.0, words(110, seed=2), 19.0)]),
        Said([(4.0, words(130, seed=2), 6.0), (6.0, words(150, seed=3), 19.0)]),
    ],
    ids=["unlikely", "looping", "too fast", "endless"],
)
def test_what_a_row_makes_up_when_it_must_go_on_is_heard_again(
    more: Said, tiny_en: Checkpoint
) -> None:
    script = {
        0.0: Said([(0.0, "One.", 4.0)], ending=[4.0], more=more),
        4.0: Said([(0.0, "Two, and three.", 16.0)]),
    }
    transcript, heard = hear(tiny_en, by_start(script), speech=[(2, 3.9), (4.1, 8)])
    assert heard == [(0.0, 20.0), (4.0, 20.0)]
    assert [segment.text for segment in transcript.segments] == ["One.", "Two, and three."]
    assert transcript.segments[0].average_log_probability == pytest.approx(0.0, abs=0.2)


def test_a_row_does_not_go_on_into_silence(tiny_en: Checkpoint) -> None:
    said = Said([(0.0, "One.", 4.0)], ending=[4.0], more=Said([(4.0, "Thanks.", 5.0)]))
    script = by_start({0.0: said, 4.0: Said([(0.0, "Hm.", 1.0)], no_speech=0.9)})
    transcript, _ = hear(tiny_en, script, speech=[(2, 4.4)])
    assert [segment.text for segment in transcript.segments] == ["One."]


def test_speech_too_dense_for_one_row_is_heard_on_where_the_decoder_was_cut_short(
    tiny_en: Checkpoint,
) -> None:
    """A row chooses at most 224 tokens; some languages take as many in twenty seconds."""
    first, second = (words(120, seed) for seed in (0, 1))
    script = {
        0.0: Said([(0.0, first, 9.0), (9.5, second, 20.0)]),
        9.5: Said([(0.0, second, 10.5)]),
    }
    transcript, heard = hear(tiny_en, by_start(script))
    assert heard == [(0.0, 20.0), (9.5, 20.0)]
    assert [(s.start_seconds, s.end_seconds, s.text) for s in transcript.segments] == [
        (0.0, 9.0, first),
        (9.5, 20.0, second),
    ]


def test_less_than_a_second_is_not_worth_another_pass(tiny_en: Checkpoint) -> None:
    nearly_all = Said([(0.0, "One.", 19.02)], ending=[19.02])
    assert hear(tiny_en, at_first(nearly_all))[1] == [(0.0, 20.0)]
    # Nor is the same again without less than a second.
    nothing_gained = Said([(0.0, "One.", 0.98)], ending=[0.98])
    assert hear(tiny_en, at_first(nothing_gained))[1] == [(0.0, 20.0)]


def test_speech_that_no_segment_tells_is_heard_by_itself(tiny_en: Checkpoint) -> None:
    script = {
        0.0: Said([(0.0, FULL, 8.0), (15.0, FULL, 20.0)]),
        8.3: Said([(0.2, "What was passed over is this.", 6.0)]),
    }
    transcript, heard = hear(tiny_en, by_start(script), speech=[(0, 20)])
    assert heard == [(0.0, 20.0), (8.3, 14.7)]
    assert [segment.start_seconds for segment in transcript.segments] == [0.0, 8.5, 15.0]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (Said([(0.0, "It is this.", 6.0)], sure=True, no_speech=0.5), True),
        (Said([(0.0, "It is this.", 6.0)], sure=True, no_speech=0.7), False),
        (Said([(0.0, LOOPING, 6.0)]), False),
        (Said([(0.0, FULL, 6.0)], sure=False, no_speech=0.5), True),
    ],
)
def test_what_was_left_out_must_sound_like_speech(
    said: Said, told: bool, tiny_en: Checkpoint
) -> None:
    script = by_start({0.0: Said([(0.0, FULL, 8.0), (15.0, FULL, 20.0)]), 8.3: said})
    transcript, _ = hear(tiny_en, script, speech=[(0, 20)])
    assert len(transcript.segments) == (3 if told else 2)


@pytest.mark.parametrize(
    ("again", "told"),
    [("Yes, and a lot more than that.", "Yes, and a lot more than that."), ("Y.", "Yes.")],
)
def test_a_thin_segment_gives_way_to_what_says_more(
    again: str, told: str, tiny_en: Checkpoint
) -> None:
    script = by_start(
        {0.0: Said([(0.0, FULL, 8.0), (8.0, "Yes.", 16.0)]), 7.8: Said([(0.2, again, 8.0)])}
    )
    transcript, heard = hear(tiny_en, script, seconds=16, speech=[(0, 7.5), (8.2, 16)])
    assert heard == [(0.0, 16.0), (7.8, 16.0)]
    assert [segment.text for segment in transcript.segments] == [FULL, told]


def test_what_is_told_instead_of_a_thin_segment_is_told_once(tiny_en: Checkpoint) -> None:
    """Its own thin segments are not heard again beside themselves."""

    def script(stretch: Stretch, tries: int) -> Said:
        if stretch.seconds > 25:
            return Said([(0.0, "Yes.", 30.0)])
        if stretch.start_seconds == 0:
            return Said([(0.0, "Yes, indeed.", 12.6)])
        return Said([(0.0, FULL, 14.0)])

    speech = [(0.0, 7.0), (7.2, 14.5), (15.5, 30.0)]
    transcript, heard = hear(tiny_en, script, seconds=30, speech=speech)
    assert heard == [(0.0, 30.0), (0.0, 15.0), (15.0, 30.0)]
    assert [segment.text for segment in transcript.segments] == ["Yes, indeed.", FULL]


def test_a_thin_segment_before_the_rest_is_heard_again_too(tiny_en: Checkpoint) -> None:
    script = {
        0.0: Said([(0.0, FULL, 8.0), (8.0, "Yes.", 16.0)], ending=[16.0]),
        7.8: Said([(0.0, "Yes, and a lot more than that.", 8.0)]),
        16.0: Said([(0.0, FULL, 14.0)]),
    }
    transcript, heard = hear(tiny_en, by_start(script), seconds=30, speech=[(0, 30)])
    assert heard == [(0.0, 30.0), (7.8, 16.0), (16.0, 30.0)]
    assert [segment.text[:9] for segment in transcript.segments] == [
        "The first",
        "Yes, and ",
        "The first",
    ]


def test_a_gap_that_reaches_into_the_rest_is_not_lost(tiny_en: Checkpoint) -> None:
    script = {
        0.0: Said([(0.0, FULL, 8.0)], ending=[18.0]),
        8.3: Said([(0.2, "What was passed over is this, and it is long.", 9.0)]),
        18.0: Said([(0.0, FULL, 12.0)]),
    }
    transcript, heard = hear(tiny_en, by_start(script), seconds=30, speech=[(0, 30)])
    assert heard == [(0.0, 30.0), (8.3, 18.0), (18.0, 30.0)]
    assert len(transcript.segments) == 3


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32))
def test_hearing_again_always_ends_and_stays_inside_the_window(
    tiny_en: Checkpoint, seed: int
) -> None:
    """Whatever the decoder says, and however often it says something else of the same stretch."""
    chance = random.Random(seed)
    heard, known = list[Stretch](), dict[tuple[int, int], Said]()

    def said(stretch: Stretch) -> Said:
        times = sorted(chance.sample(range(int(stretch.seconds * 50)), 5))
        a, b, c, d, e = (time / 50 for time in times)
        texts = [(a, chance.choice(["Yes.", FULL]), b), (c, "And so on.", d)]
        return Said(texts[: chance.randint(1, 2)], [e] if chance.random() < 0.5 else [])

    def script(recording: Recording, stretch: Stretch, tries: int) -> Said:
        if len(heard) < len(transcriber.model.heard):
            heard.append(stretch)
        return known.setdefault((len(heard), tries), said(stretch))

    transcriber = ScriptedTranscriber(tiny_en, 1, script)
    edges = sorted(chance.sample(range(301), 8))
    speech = [(a / 10, b / 10) for a, b in zip(edges[::2], edges[1::2], strict=True)]
    windows = transcriber.windows(transcriber.begin(Options()), 1, seconds=30, speech=speech)
    [transcript] = transcriber.transcribe(Queued(windows))
    for index, stretch in enumerate(heard[1:], start=1):
        around = [one for one in heard[:index] if is_inside(stretch, one)]
        assert any(one.seconds - stretch.seconds > 0.99 for one in around), "no shorter than before"
    for segment in transcript.segments:
        assert 0 <= segment.start_seconds < segment.end_seconds <= 30.001
    starts = [segment.start_seconds for segment in transcript.segments]
    assert starts == sorted(starts)


def is_inside(stretch: Stretch, other: Stretch) -> bool:
    starts_inside = other.start_seconds <= stretch.start_seconds + 0.01
    return starts_inside and stretch.end_seconds <= other.end_seconds + 0.01


def test_words_of_what_is_heard_again_count_from_the_start_of_the_audio(
    tiny_en: Checkpoint,
) -> None:
    script = {0.0: Said([(0.0, "One.", 4.0)], ending=[4.0]), 4.0: Said([(0.0, "Two.", 5.0)])}
    asked = Options(timestamps=TimestampLevel.WORD)
    transcript, _ = hear(tiny_en, by_start(script), options=asked)
    [first, second] = transcript.segments
    assert first.words[0].start_seconds < 1.0
    assert 4.0 <= second.words[0].start_seconds < 5.0
