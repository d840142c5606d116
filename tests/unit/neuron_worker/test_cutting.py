"""Spans of speech, from made-up probabilities."""

import itertools
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from neuron_worker.cutting import (
    FORCED_CUT_REACH,
    FRAME_SAMPLES,
    OVERLAP,
    PADDING,
    PAUSE_AMPLE,
    PAUSE_MIN,
    SAMPLE_RATE,
    SILENCE_MAX,
    SILENCE_THRESHOLD,
    SPAN_MAX,
    SPEECH_MIN,
    SPEECH_THRESHOLD,
    Cutter,
    Span,
    best_pause,
)

SPEECH, SILENCE = 0.9, 0.01

stretches = st.tuples(
    st.sampled_from([SPEECH, SPEECH_THRESHOLD, 0.3, SILENCE_THRESHOLD, 0.19, SILENCE]),
    st.integers(1, 6)
    | st.integers(1, 40)
    | st.integers(SILENCE_MAX - 3, SILENCE_MAX + 3)
    | st.integers(SPAN_MAX - 3, SPAN_MAX + 3),
)
timelines = st.lists(stretches, max_size=40).map(
    lambda parts: [probability for probability, count in parts for _ in range(count)]
)


def spans_of(probabilities: list[float]) -> list[Span]:
    cutter = Cutter()
    spans = [span for probability in probabilities for span in cutter.push(probability)]
    return spans + list(cutter.finish())


def speech(frames: int) -> list[float]:
    return [SPEECH] * frames


def silence(frames: int) -> list[float]:
    return [SILENCE] * frames


def frames_of(spans: Iterable[Span]) -> list[int]:
    return [frame for span in spans for frame in range(span.start, span.end)]


@settings(deadline=None)
@given(timelines)
def test_spans_are_in_order_and_fit_the_encoder(probabilities: list[float]) -> None:
    spans = spans_of(probabilities)
    for span in spans:
        assert 0 <= span.start < span.end <= len(probabilities)
        assert span.end - span.start <= SPAN_MAX == 937
    for earlier, later in itertools.pairwise(spans):
        assert earlier.start < later.start
        assert earlier.end < later.end


@settings(deadline=None)
@given(timelines)
def test_spans_overlap_only_where_the_cut_falls_into_speech(probabilities: list[float]) -> None:
    for earlier, later in itertools.pairwise(spans_of(probabilities)):
        shared = earlier.end - later.start
        if shared > 0:
            assert shared <= OVERLAP <= 2.0 * SAMPLE_RATE / FRAME_SAMPLES
            assert earlier.speech[-1].end == earlier.end, "the cut falls into no speech"
            assert later.speech[0].start == later.start
            assert earlier.end - earlier.start > SPAN_MAX - FORCED_CUT_REACH - PADDING


@settings(deadline=None)
@given(timelines)
def test_spans_know_the_speech_inside_them(probabilities: list[float]) -> None:
    for span in spans_of(probabilities):
        assert span.speech
        edges = [edge for speech in span.speech for edge in (speech.start, speech.end)]
        assert edges == sorted(set(edges)), "stretches are in order, apart and not empty"
        assert span.start <= edges[0] <= span.start + PADDING
        assert span.end - PADDING <= edges[-1] <= span.end
        for speech, after in itertools.pairwise(span.speech):
            assert after.start - speech.end >= PAUSE_MIN
        for speech in span.speech:
            inside = probabilities[speech.start : speech.end]
            for quiet, run in itertools.groupby(inside, lambda p: p < SILENCE_THRESHOLD):
                assert not quiet or len(list(run)) < PAUSE_MIN


@settings(deadline=None)
@given(timelines)
def test_all_speech_is_known_and_what_is_no_speech_is_not(probabilities: list[float]) -> None:
    spans = spans_of(probabilities)
    speech = set(frames_of(stretch for span in spans for stretch in span.speech))
    at = 0
    for loud, run in itertools.groupby(probabilities, lambda p: p >= SPEECH_THRESHOLD):
        count = len(list(run))
        if loud and count >= SPEECH_MIN:
            assert speech.issuperset(range(at, at + count)), f"frames from {at} to {at + count}"
        if not loud and all(p < SILENCE_THRESHOLD for p in probabilities[at : at + count]):
            assert count < PAUSE_MIN or speech.isdisjoint(range(at, at + count))
        at += count


@settings(deadline=None)
@given(timelines)
def test_all_speech_is_inside_a_span(probabilities: list[float]) -> None:
    covered = set(frames_of(spans_of(probabilities)))
    at = 0
    for loud, run in itertools.groupby(probabilities, lambda p: p >= SPEECH_THRESHOLD):
        count = len(list(run))
        if loud and count >= SPEECH_MIN:
            assert covered.issuperset(range(at, at + count)), f"frames from {at} to {at + count}"
        at += count


@settings(deadline=None)
@given(timelines)
def test_no_span_holds_a_long_silence(probabilities: list[float]) -> None:
    for span in spans_of(probabilities):
        inside = probabilities[span.start : span.end]
        for quiet, run in itertools.groupby(inside, lambda p: p < SILENCE_THRESHOLD):
            assert not quiet or len(list(run)) < SILENCE_MAX


@settings(deadline=None)
@given(timelines)
def test_what_must_be_kept_is_known_and_bounded(probabilities: list[float]) -> None:
    cutter, needed_from = Cutter(), 0
    for seen, probability in enumerate(probabilities, start=1):
        for span in cutter.push(probability):
            assert span.start >= needed_from
        assert cutter.needed_from >= needed_from
        needed_from = cutter.needed_from
        assert seen - needed_from <= SPAN_MAX + SILENCE_MAX
    for span in cutter.finish():
        assert span.start >= needed_from


@settings(deadline=None)
@given(timelines)
def test_speech_is_counted_once(probabilities: list[float]) -> None:
    cutter = Cutter()
    spans = [span for probability in probabilities for span in cutter.push(probability)]
    spans += cutter.finish()
    stretches = {frame for span in spans for frame in frames_of(span.speech)}
    certain = sum(
        count
        for loud, run in itertools.groupby(probabilities, lambda p: p >= SPEECH_THRESHOLD)
        if loud and (count := len(list(run))) >= SPEECH_MIN
    )
    assert certain <= cutter.speech_frames == len(stretches)


def test_silence_gives_nothing() -> None:
    assert spans_of(silence(2_000)) == []


def test_a_click_gives_nothing() -> None:
    assert spans_of(silence(50) + speech(SPEECH_MIN - 1) + silence(500)) == []


def test_a_word_is_kept_with_padding() -> None:
    spans = spans_of(silence(50) + speech(10) + silence(500))
    assert spans == [Span(50 - PADDING, 60 + PADDING, (Span(50, 60),))]


def test_padding_ends_where_the_audio_does() -> None:
    assert spans_of(silence(2) + speech(10) + silence(3)) == [Span(0, 15, (Span(2, 12),))]


def test_hesitant_frames_continue_speech_but_do_not_start_it() -> None:
    assert spans_of([0.3] * 100) == []
    hesitant = silence(50) + speech(10) + [0.3] * 100 + silence(500)
    assert spans_of(hesitant) == [Span(50 - PADDING, 160 + PADDING, (Span(50, 160),))]


def test_a_long_silence_is_left_out() -> None:
    first, second = spans_of(speech(100) + silence(SILENCE_MAX) + speech(100))
    assert (first, second) == (
        Span(0, 100 + PADDING, (Span(0, 100),)),
        Span(
            100 + SILENCE_MAX - PADDING,
            200 + SILENCE_MAX,
            (Span(100 + SILENCE_MAX, 200 + SILENCE_MAX),),
        ),
    )


def test_shorter_silences_are_filled_over() -> None:
    """Each span costs a pass of the encoder: three sentences in one are a third of the price."""
    sentence = speech(200) + silence(SILENCE_MAX - 1)
    assert len(spans_of(sentence * 3)) == 1


def test_steady_talk_fills_the_spans() -> None:
    """Sentences of about 4 s with ample pauses: on average, spans are at least 85 % full."""
    talk = (speech(110) + silence(20) + speech(140) + silence(18)) * 40
    spans = spans_of(talk)
    assert len(spans) <= len(talk) / (0.85 * SPAN_MAX) + 1


def test_a_full_span_is_cut_in_an_ample_pause_rather_than_in_a_later_breath() -> None:
    talk = speech(700) + silence(PAUSE_AMPLE) + speech(150) + silence(PAUSE_MIN) + speech(400)
    first, second = spans_of(talk)
    assert 700 <= first.end <= second.start <= 700 + PAUSE_AMPLE


def test_of_two_ample_pauses_the_later_one_is_taken() -> None:
    talk = speech(500) + silence(60) + speech(250) + silence(PAUSE_AMPLE) + speech(400)
    first, _ = spans_of(talk)
    assert 810 <= first.end <= 810 + PAUSE_AMPLE


def test_a_pause_too_early_for_its_worth_is_not_taken() -> None:
    """A breath after 3 s would waste nine tenths of a pass."""
    assert best_pause([Span(0, 100)], 100 + PAUSE_MIN, SPAN_MAX) is None
    assert best_pause([Span(0, 900)], 900 + PAUSE_MIN, SPAN_MAX) == 0


def test_the_pause_across_the_limit_is_always_worth_its_cost() -> None:
    longest = SILENCE_MAX - 1
    for pause in range(PAUSE_MIN, longest + 1):
        for end in range(SPAN_MAX - pause, SPAN_MAX + 1):
            assert best_pause([Span(0, end)], end + pause, SPAN_MAX) == 0


def test_without_a_pause_the_cut_falls_where_speech_is_least_likely() -> None:
    dip = SPAN_MAX - FORCED_CUT_REACH // 2
    talk = speech(SPAN_MAX * 2 - 200)
    talk[dip] = 0.4
    first, second = spans_of(talk)
    assert first == Span(0, dip, (Span(0, dip),))
    assert second == Span(dip - OVERLAP, len(talk), (Span(dip - OVERLAP, len(talk)),))


def test_the_cut_reaches_back_for_a_quieter_frame_only_so_far() -> None:
    talk = speech(SPAN_MAX * 2 - 200)
    talk[SPAN_MAX - FORCED_CUT_REACH - 1] = 0.36
    assert spans_of(talk)[0].end == SPAN_MAX
    talk[SPAN_MAX - FORCED_CUT_REACH] = 0.37
    assert spans_of(talk)[0].end == SPAN_MAX - FORCED_CUT_REACH


def test_endless_noise_is_cut_into_full_spans() -> None:
    spans = spans_of(speech(SPAN_MAX + 3 * (SPAN_MAX - OVERLAP)))
    assert [span.end - span.start for span in spans] == [SPAN_MAX] * 4
    assert [a.end - b.start for a, b in itertools.pairwise(spans)] == [OVERLAP] * 3


def test_overlaps_are_two_seconds() -> None:
    assert 1.96 < OVERLAP * FRAME_SAMPLES / SAMPLE_RATE <= 2.0


def test_what_little_follows_a_forced_cut_is_kept() -> None:
    first, second = spans_of(speech(SPAN_MAX + 1) + silence(500))
    assert first.end == SPAN_MAX
    assert second.start == SPAN_MAX - OVERLAP
    assert second.speech == (Span(SPAN_MAX - OVERLAP, SPAN_MAX + 1),)
    assert second.end == SPAN_MAX + 1 + PADDING


def test_speech_that_two_spans_share_counts_once() -> None:
    cutter = Cutter()
    talk = speech(SPAN_MAX * 3 + 100) + silence(100)
    spans = [*itertools.chain(*map(cutter.push, talk)), *cutter.finish()]
    assert len(spans) == 4
    assert cutter.speech_frames == SPAN_MAX * 3 + 100
