"""Speech that a transcript leaves out: Whisper skips and stops, and the speech detector notices.

Where unrelated voices share a window, or a segment border falls near its end, a decoder can pass
over whole sentences with full confidence. What the detector takes for speech and no text accounts
for is heard again by itself; so are the parts of a window whose text is poor.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

from neuron_worker.speech import Stretch, Window
from neuron_worker.transcript import Segment

UNHEARD_MIN_SECONDS = 2.0
"""Less speech without text than this is left alone: segment times are only so exact."""

BORDER_SECONDS = 0.5
"""A segment accounts for this much speech around it."""

SILENT_MAX_SECONDS = 1.0
"""Speech on both sides of a pause up to this long is heard again together."""

PADDING_SECONDS = 0.2
"""Of the surroundings, heard with it."""

PART_PAUSE_SECONDS = 0.4
"""A poor window is cut where nobody speaks for this long …"""

PART_MIN_SECONDS = 2.0
"""… into parts that are not shorter than this."""

SLOWEST_CHARACTERS_PER_SECOND = 3.0
"""A text accounts for no more speech than it takes to say it this slowly.

English is spoken at 12 to 15 characters a second, Chinese at 4 to 5.
"""


def unheard(window: Window, segments: Sequence[Segment]) -> list[Stretch]:
    """The stretches of a window that hold speech and none of the segments, in order."""
    missed = list[Stretch]()
    for stretch in _uncovered(window.speech, list(_covered(segments))):
        if missed and stretch.start_seconds - missed[-1].end_seconds <= SILENT_MAX_SECONDS:
            stretch = Stretch(missed.pop().start_seconds, stretch.end_seconds)
        missed.append(stretch)
    return [
        Stretch(
            max(window.start_seconds, stretch.start_seconds - PADDING_SECONDS),
            min(window.end_seconds, stretch.end_seconds + PADDING_SECONDS),
        )
        for stretch in missed
        if stretch.seconds >= UNHEARD_MIN_SECONDS
    ]


def _covered(segments: Sequence[Segment]) -> Iterator[Stretch]:
    for segment in segments:
        seconds_said = len(segment.text) / SLOWEST_CHARACTERS_PER_SECOND
        end = min(segment.end_seconds, segment.start_seconds + seconds_said)
        yield Stretch(segment.start_seconds - BORDER_SECONDS, end + BORDER_SECONDS)


def _uncovered(speech: Sequence[Stretch], covered: Sequence[Stretch]) -> Iterator[Stretch]:
    for stretch in speech:
        start = stretch.start_seconds
        for cover in sorted(covered, key=lambda cover: cover.start_seconds):
            if cover.end_seconds <= start or cover.start_seconds >= stretch.end_seconds:
                continue
            if cover.start_seconds > start:
                yield Stretch(start, cover.start_seconds)
            start = max(start, cover.end_seconds)
        if start < stretch.end_seconds:
            yield Stretch(start, stretch.end_seconds)


def parts(window: Window) -> list[Stretch]:
    """A window cut at its pauses, for hearing each part by itself; none where it cannot be cut."""
    cuts = [
        (before.end_seconds + after.start_seconds) / 2
        for before, after in pairwise(window.speech)
        if after.start_seconds - before.end_seconds >= PART_PAUSE_SECONDS
    ]
    borders = [window.start_seconds]
    for cut in cuts:
        if min(cut - borders[-1], window.end_seconds - cut) >= PART_MIN_SECONDS:
            borders.append(cut)
    if len(borders) == 1:
        return []
    return [Stretch(*ends) for ends in pairwise([*borders, window.end_seconds])]
