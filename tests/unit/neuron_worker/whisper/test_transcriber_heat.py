"""What becomes of a window whose text is poor: it is heard in parts, or decoded again hotter."""

import pytest

from neuron_worker.speech import Stretch
from neuron_worker.transcript import Doubt
from neuron_worker.whisper.checkpoint import Checkpoint
from neuron_worker.whisper.fallback import TEMPERATURES
from tests.scripted import FULL, LOOPING, Said, at_first, by_start, hear, text_of


def test_a_window_that_loops_is_decoded_again_hotter(tiny_en: Checkpoint) -> None:
    loops, good = Said([(0.0, LOOPING, 20.0)]), Said([(0.0, FULL, 20.0)])
    transcript, heard = hear(tiny_en, at_first(loops, loops, good))
    assert text_of(transcript) == FULL
    assert transcript.segments[0].temperature == 0.4
    assert heard == [(0.0, 20.0)], "the audio need not be heard again"


def test_a_window_of_unlikely_text_is_decoded_again_hotter(tiny_en: Checkpoint) -> None:
    unsure = Said([(0.0, f"Bananas, {FULL}", 20.0)], sure=False)
    transcript, _ = hear(tiny_en, at_first(unsure, Said([(0.0, FULL, 20.0)])))
    assert (text_of(transcript), transcript.segments[0].temperature) == (FULL, 0.2)


def test_text_that_loops_at_all_temperatures_is_told_with_its_doubt(tiny_en: Checkpoint) -> None:
    transcript, _ = hear(tiny_en, at_first(Said([(0.0, LOOPING, 20.0)])))
    [segment] = transcript.segments
    assert segment.doubts == (Doubt.REPETITION,)
    assert segment.compression_ratio > 2.4
    assert segment.temperature in TEMPERATURES


@pytest.mark.parametrize(("sure", "no_speech", "told"), [(False, 0.9, False), (True, 0.9, True)])
def test_text_made_up_over_silence_is_not_told(
    sure: bool, no_speech: float, told: bool, tiny_en: Checkpoint
) -> None:
    said = Said([(0.0, FULL, 8.0)], sure=sure, no_speech=no_speech)
    transcript, heard = hear(tiny_en, at_first(said))
    assert bool(transcript.segments) is told
    assert heard == [(0.0, 20.0)]


def test_a_poor_window_is_heard_in_its_parts(tiny_en: Checkpoint) -> None:
    script = {
        0.0: Said([(0.0, LOOPING, 20.0)]),
        6.5: Said([(0.0, "The second part of it is this one.", 5.5)]),
        12.5: Said([(0.0, "The third part of it is this one.", 5.5)]),
    }

    def hears(stretch: Stretch, tries: int) -> Said:
        if stretch.end_seconds < 20 and stretch.start_seconds == 0:
            return Said([(0.0, "The first part of it is this one.", 5.5)])
        return by_start(script)(stretch, tries)

    transcript, heard = hear(tiny_en, hears, speech=[(0.5, 6), (7, 12), (13, 19)])
    assert heard == [(0.0, 20.0), (0.0, 6.5), (6.5, 12.5), (12.5, 20.0)]
    assert [segment.text.split()[1] for segment in transcript.segments] == [
        "first",
        "second",
        "third",
    ]
    assert [segment.start_seconds for segment in transcript.segments] == [0.0, 6.5, 12.5]
    assert {segment.temperature for segment in transcript.segments} == {0.0}


def test_a_part_that_is_poor_is_decoded_hotter_and_not_cut_again(tiny_en: Checkpoint) -> None:
    def script(stretch: Stretch, tries: int) -> Said:
        if stretch.seconds == 20 or (stretch.start_seconds == 0 and tries == 0):
            return Said([(0.0, LOOPING, 9.0)])
        return Said([(0.0, FULL, 9.0)])

    speech = [(0.5, 3), (4, 9.5), (10.5, 19)]
    transcript, heard = hear(tiny_en, script, speech=speech)
    assert heard[0] == (0.0, 20.0)
    assert heard[1:] == [(0.0, 3.5), (3.5, 10.0), (10.0, 20.0)]
    assert [segment.temperature for segment in transcript.segments] == [0.2, 0.0, 0.0]
