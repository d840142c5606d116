"""A window in a row of the batch: what was heard of it so far, and what is still to hear."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from neuron_worker.meter import Meter
from neuron_worker.speech import Stretch, Window
from neuron_worker.transcript import Segment
from neuron_worker.whisper.fallback import Decoded
from neuron_worker.whisper.recording import Utterance
from neuron_worker.whisper.rows import Row
from neuron_worker.whisper.unheard import Missed, is_too_fast, missed, parts, spoken_seconds

REST_MIN_SECONDS = 1.0
"""Less than this is not decoded again, neither left behind a window's last segment nor gained."""

GO_ON_MIN_SECONDS = 0.5
"""A row goes on for this much speech behind its last segment, which costs but a few steps."""


@dataclass(slots=True)
class Hearing:
    """A window, heard in one pass of the encoder or, part by part, in several."""

    utterance: Utterance
    row: Row
    window: Window
    """The part of the utterance's window that the row hears now."""
    tries: list[Decoded] = field(default_factory=list)
    _segments: list[Segment] = field(default_factory=list)
    _missed: list[Missed] = field(default_factory=list)
    """What of the utterance's window to hear next, the last one first."""
    _thin: Segment | None = None
    """What stands for the part in the row so far, and says too little."""
    _instead_of: dict[Segment, list[Segment]] = field(default_factory=dict)
    """What was heard instead of thin segments."""
    _apart: bool = False
    """Whether the window is heard in parts, its text as a whole being poor."""

    @property
    def meter(self) -> Meter:
        """Counts what its recording takes."""
        return self.utterance.recording.meter

    @property
    def is_whole(self) -> bool:
        """Whether all of the window is in the row."""
        return self.window is self.utterance.window

    def rest(self, start_seconds: float | None) -> Stretch | None:
        """What is in the row from `start_seconds` of it on."""
        if start_seconds is None:
            return None
        return Stretch(self.window.start_seconds + start_seconds, self.window.end_seconds)

    def speaks_on(self, rest: Stretch | None) -> bool:
        """Whether somebody speaks on in what the decoder left."""
        return rest is not None and spoken_seconds(self.window.speech, rest) >= GO_ON_MIN_SECONDS

    def believes(self, decoded: Decoded) -> bool:
        """Whether what was decoded was said.

        What was left out once is more easily made up over noise: it must sound like speech.
        """
        left_out = not self.is_whole and not self._apart
        return not decoded.is_silent and (decoded.is_likely_speech or not left_out)

    def keep(self, segments: Sequence[Segment], rest: Stretch | None) -> None:
        """Take what was decoded into the transcript, and look for speech that it leaves out."""
        if self._thin is None:
            self._segments += segments
        else:
            self._instead_of.setdefault(self._thin, []).extend(segments)
        self._missed += self._missed_by(segments, rest)

    def take_apart(self) -> bool:
        """Have the parts of a poor window heard instead of it, which helps more often than heat."""
        if not self.is_whole or len(self.tries) > 1:
            return False
        found = parts(self.window)
        self._missed = [Missed(part) for part in reversed(found)]
        self._apart = bool(found)
        return self._apart

    def take_next(self) -> bool:
        """Turn to the next part that must be heard; False where nothing must."""
        if not self._missed:
            return False
        what = self._missed.pop()
        self.window = self.utterance.window.part(what.stretch)
        self._thin, self.tries = what.thin, []
        return True

    def segments(self) -> tuple[Segment, ...]:
        """All that was heard, in order."""
        kept = list(self._segments)
        for thin, fuller in self._instead_of.items():
            if sum(len(segment.text) for segment in fuller) > len(thin.text):
                kept.remove(thin)
                kept += fuller
        found = map(_around_its_words, kept)
        return tuple(sorted(found, key=lambda segment: segment.start_seconds))

    def _missed_by(self, segments: Sequence[Segment], rest: Stretch | None) -> Iterator[Missed]:
        """What must be heard again, the last first; always less than is in the row."""
        found = missed(self.window, segments)
        if rest is not None:
            found = [Missed(_until(rest, one.stretch), one.thin) for one in found]
            found.append(Missed(rest))
        longest = self.window.end_seconds - self.window.start_seconds - REST_MIN_SECONDS
        for one in reversed(found):
            # What stands for a thin segment is thin where nothing more is to be heard.
            again = one.thin is not None and self._thin is not None
            if REST_MIN_SECONDS <= one.stretch.seconds <= longest and not again:
                yield Missed(one.stretch, self._thin or one.thin)


def was_said(more: Decoded, rest: Stretch | None) -> bool:
    """Whether a row that had to go on said what there is to hear in the rest."""
    return more.is_good and rest is not None and not is_too_fast(more.text, rest)


def _until(rest: Stretch, stretch: Stretch) -> Stretch:
    """What of a stretch comes before the rest of a window; of negative length where nothing."""
    return Stretch(stretch.start_seconds, min(stretch.end_seconds, rest.start_seconds))


def _around_its_words(segment: Segment) -> Segment:
    """Words are timed better than segments."""
    if not segment.words:
        return segment
    start, end = segment.words[0].start_seconds, segment.words[-1].end_seconds
    return replace(segment, start_seconds=start, end_seconds=end)
