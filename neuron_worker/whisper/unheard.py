"""Speech that a transcript leaves out: Whisper skips and stops, and the speech detector notices.

Where unrelated voices share a window, or a segment border falls near its end, a decoder can pass
over whole sentences with full confidence. What the detector takes for speech and no text accounts
for is heard again by itself; so are the parts of a window whose text is poor.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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

SLOWEST_BYTES_PER_SECOND = 6.0
"""Speech that lasts 2 s longer than its text takes at this rate has more to say.

In UTF-8, English takes 12 to 15 bytes a second, Chinese 12 to 15 as well.
"""

FASTEST_CHARACTERS_PER_SECOND = 25.0
"""Nobody says more in a second: hasty English is 20."""


@dataclass(frozen=True, slots=True)
class Missed:
    """A stretch to hear again; `thin` is the segment that says too little about it, if any."""

    stretch: Stretch
    thin: Segment | None = None


def missed(window: Window, segments: Sequence[Segment]) -> list[Missed]:
    """What of a window's speech the segments leave out, in order."""
    thin = [segment for segment in segments if _is_thin(segment, window.speech)]
    covered = (
        Stretch(segment.start_seconds - BORDER_SECONDS, segment.end_seconds + BORDER_SECONDS)
        for segment in segments
    )
    gaps = list[Stretch]()
    for stretch in _uncovered(window.speech, list(covered)):
        if gaps and stretch.start_seconds - gaps[-1].end_seconds <= SILENT_MAX_SECONDS:
            stretch = Stretch(gaps.pop().start_seconds, stretch.end_seconds)
        gaps.append(stretch)
    found = [Missed(_padded(gap, window)) for gap in gaps if gap.seconds >= UNHEARD_MIN_SECONDS]
    for segment in thin:
        whole = _padded(Stretch(segment.start_seconds, segment.end_seconds), window)
        found += [Missed(part, segment) for part in parts(window.part(whole)) or [whole]]
    return sorted(found, key=lambda one: one.stretch.start_seconds)


def is_too_fast(text: str, stretch: Stretch) -> bool:
    """Whether nobody can have said so much in so short a time."""
    return len(text) > FASTEST_CHARACTERS_PER_SECOND * stretch.seconds


def spoken_seconds(speech: Sequence[Stretch], within: Stretch) -> float:
    """How much of a stretch is speech."""
    return sum(
        max(
            0.0,
            min(stretch.end_seconds, within.end_seconds)
            - max(stretch.start_seconds, within.start_seconds),
        )
        for stretch in speech
    )


def _is_thin(segment: Segment, speech: Sequence[Stretch]) -> bool:
    spoken = spoken_seconds(speech, Stretch(segment.start_seconds, segment.end_seconds))
    seconds_said = len(segment.text.encode()) / SLOWEST_BYTES_PER_SECOND
    return spoken - seconds_said >= UNHEARD_MIN_SECONDS


def _padded(stretch: Stretch, window: Window) -> Stretch:
    return Stretch(
        max(window.start_seconds, stretch.start_seconds - PADDING_SECONDS),
        min(window.end_seconds, stretch.end_seconds + PADDING_SECONDS),
    )


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
