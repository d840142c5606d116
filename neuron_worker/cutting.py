"""Where to cut: speech probabilities in, spans for the encoder out. Everything counts in frames.

Each span costs a whole pass of the encoder, however short it is, so a span is filled across short
pauses and cut only when it is full. The cut then falls into the best pause in reach: a longer one
is better until it is ample, and a span cut early wastes its share of a pass.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SAMPLE_RATE = 16_000
"""Samples per second of everything after decoding: what Whisper and Silero VAD take."""

FRAME_SAMPLES = 512
"""Silero VAD judges 32 ms at a time (silero_vad/sequence_vad.py)."""

WINDOW_MAX_SECONDS = 30.0
"""What Whisper's encoder takes in one pass (arXiv 2212.04356, section 2.2)."""

SPEECH_THRESHOLD = 0.35
"""From here on a frame starts speech: below Silero's own 0.5, which loses quiet words."""

SILENCE_THRESHOLD = 0.20
"""Below this a frame may end speech: 0.15 less than what starts it, as Silero has it."""


def _frames(seconds: float) -> int:
    return int(seconds * SAMPLE_RATE / FRAME_SAMPLES)


SPAN_MAX = _frames(WINDOW_MAX_SECONDS)
"""937 frames, 16 ms short of the encoder's 30 s."""

PAUSE_MIN = _frames(0.16)
"""Less silence is part of the speech around it, as faster-whisper has it (vad.py)."""

PAUSE_AMPLE = _frames(0.5)
"""A pause as good for a cut as any longer one: the end of a sentence."""

SPEECH_MIN = _frames(0.1)
"""Less speech with silence around it is a click."""

PADDING = _frames(0.3)
"""Kept around speech, for soft onsets and endings."""

SILENCE_MAX = _frames(5.0)
"""A span holds no longer silence, in which Whisper invents text or stops before its end.

Measured on clips of speech 2 to 5 s apart: 3 s in its place takes 1.6 times as many spans, and the
word error rate stays the same (9.8 against 9.7 %, tiny.en).
"""

FORCED_CUT_REACH = SPAN_MAX // 4
"""Where nobody pauses, the cut falls at the least likely speech among this many last frames."""


OVERLAP = _frames(2.0)
"""Two spans share this much where the cut falls into speech, so that no word is cut in two."""


@dataclass(frozen=True, slots=True)
class Span:
    """The frames from `start` to before `end`, and the stretches of speech among them."""

    start: int
    end: int
    speech: tuple["Span", ...] = ()


class Cutter:
    """Takes one probability after the other and tells each span as soon as it is certain."""

    def __init__(self) -> None:
        self.speech_frames = 0
        """How many frames of the speech that has ended so far."""
        self._seen = 0
        self._recent: deque[float] = deque(maxlen=SPAN_MAX)
        self._ended: list[Span] = []
        self._speaking: _Speaking | None = None
        self._cut = 0

    @property
    def needed_from(self) -> int:
        """The first frame that a coming span can hold."""
        first = self._seen
        if self._ended:
            first = self._ended[0].start
        elif self._speaking:
            first = self._speaking.start
        return max(self._cut, first - PADDING)

    def push(self, probability: float) -> Iterator[Span]:
        """Take in how likely the next frame is speech; yields one span or none."""
        self._recent.append(probability)
        self._follow(self._seen, probability)
        self._seen += 1
        speaking = self._speaking
        if speaking is None:
            if self._ended and self._seen - self._ended[-1].end >= SILENCE_MAX:
                yield self._cut_behind_all()
        elif speaking.quiet_from is not None and self._seen - speaking.quiet_from >= PAUSE_MIN:
            self._end_speech(speaking, speaking.quiet_from)
        elif speaking.quiet_from is None and self._seen - self.needed_from > SPAN_MAX:
            yield self._cut_full(speaking)

    def finish(self) -> Iterator[Span]:
        """The audio has ended; yields one span or none."""
        if self._speaking:
            self._end_speech(self._speaking, self._speaking.quiet_from or self._seen)
        if self._ended:
            yield self._cut_behind_all()

    def _follow(self, frame: int, probability: float) -> None:
        speaking = self._speaking
        if probability >= SPEECH_THRESHOLD:
            self._speaking = speaking = speaking or _Speaking(frame)
            speaking.quiet_from = None
        elif speaking and speaking.quiet_from is None and probability < SILENCE_THRESHOLD:
            speaking.quiet_from = frame

    def _end_speech(self, speaking: "_Speaking", end: int) -> None:
        self._speaking = None
        if speaking.counted_to or end - speaking.start >= SPEECH_MIN:
            self._ended.append(Span(speaking.start, end))
            self.speech_frames += max(0, end - max(speaking.start, speaking.counted_to))

    def _cut_behind_all(self) -> Span:
        start, speech = self.needed_from, self._ended
        self._cut = min(speech[-1].end + PADDING, start + SPAN_MAX, self._seen)
        self._ended = []
        return Span(start, self._cut, tuple(speech))

    def _cut_full(self, speaking: "_Speaking") -> Span:
        start = self.needed_from
        limit = start + SPAN_MAX
        behind = best_pause(self._ended, speaking.start, limit)
        if behind is None:
            end = self._least_likely(limit - FORCED_CUT_REACH, limit)
            speech = [*self._ended, Span(speaking.start, end)]
            self.speech_frames += max(0, end - max(speaking.start, speaking.counted_to))
            self._cut = end - OVERLAP
            self._speaking = _Speaking(self._cut, counted_to=end)
            self._ended = []
        else:
            speech, after = self._ended[: behind + 1], self._ended[behind + 1 :]
            pause = (after[0].start if after else speaking.start) - speech[-1].end
            end = self._cut = min(speech[-1].end + min(PADDING, pause // 2), limit)
            self._ended = after
        return Span(start, end, tuple(speech))

    def _least_likely(self, first: int, last: int) -> int:
        """The frame from `first` to `last` that is least likely speech, the latest of equals."""
        oldest = self._seen - len(self._recent)
        return min(range(last, first - 1, -1), key=lambda frame: self._recent[frame - oldest])


@dataclass(slots=True)
class _Speaking:
    """Speech that has not ended."""

    start: int
    quiet_from: int | None = None
    counted_to: int = 0
    """Up to here it was in the span before, so that it is speech however short the rest."""


def best_pause(ended: Sequence[Span], speaking_from: int, limit: int) -> int | None:
    """The index of the speech behind which to cut a span that must end at `limit` at the latest.

    A pause is worth up to 1, and each frame cut off the span costs its share of a whole one. None
    where no pause is worth its cost, which the pause that lies across `limit` always is.
    """
    starts = [*(speech.start for speech in ended), speaking_from][1:]
    worths = [
        min((start - speech.end) / PAUSE_AMPLE, 1.0) - (limit - speech.end) / SPAN_MAX
        for speech, start in zip(ended, starts, strict=True)
    ]
    best = max(range(len(worths)), key=lambda index: worths[index], default=None)
    return best if best is not None and worths[best] > 0 else None


def longest_pause(probabilities: Sequence[float]) -> tuple[int, bool]:
    """The middle of the longest pause, the first of equals; without one, the least likely frame."""
    best, run = Span(0, 0), 0
    for frame, probability in enumerate([*probabilities, 1.0]):
        if probability < SILENCE_THRESHOLD:
            run += 1
            continue
        if run > best.end - best.start:
            best = Span(frame - run, frame)
        run = 0
    if best.end - best.start >= PAUSE_MIN:
        return (best.start + best.end) // 2, True
    return min(range(len(probabilities)), key=probabilities.__getitem__), False
