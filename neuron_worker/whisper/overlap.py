"""Where two windows overlap, both say the same words: cut them so that together they read once."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from neuron_worker.transcript import Segment, Word

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Thai, Lao, Burmese, kana and Han: scripts without spaces between words."""

_PART = re.compile(rf"\s*(?:[{_UNSPACED}]|[^\s{_UNSPACED}]+)")


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word, or a character where words have no spaces between them; its text has its spaces.

    Where the words have no times, they are spread over their segment, and may be wrong by up to
    `slack`, which is all of it.
    """

    segment: int
    text: str
    key: str
    start: float
    end: float
    slack: float = 0.0
    word: Word | None = None

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2


@dataclass(frozen=True, slots=True)
class _Overlap:
    """The seconds that both windows heard."""

    start: float
    end: float

    @property
    def middle(self) -> float:
        return (self.start + self.end) / 2

    def missed(self, piece: _Piece) -> float:
        """What it costs if the other window does not have the piece.

        Half of it where the piece may have been said in the overlap, or not.
        """
        if self.start <= piece.middle <= self.end:
            return 1.0
        return 0.5 if self.start - piece.slack <= piece.middle <= self.end + piece.slack else 0.0

    def pairing(self, a: _Piece, b: _Piece) -> tuple[float, bool]:
        """What it costs to take two pieces for the same one, and whether they agree.

        Apart in time, pieces cost more: as far apart as the overlap is long, as much as one
        missing. One that was misheard costs that, too, where times show that it is the same.
        """
        slack = a.slack + b.slack
        apart = abs(a.middle - b.middle) / (self.end - self.start + slack)
        if a.key == b.key:
            return apart, True
        missed = self.missed(a), self.missed(b)
        return apart + (sum(missed) if slack else max(missed)), False


def cut_overlap(
    earlier: Sequence[Segment], later: Sequence[Segment], start_seconds: float, end_seconds: float
) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Cut the texts of two windows that both heard the audio from `start_seconds` to `end_seconds`.

    Words that both have are found by what they read and when they were said; the cut is in the
    middle of the most of them in a row. Where nothing agrees, it is in the middle of the overlap,
    or as near to it as both windows have words. Segments that the cut leaves whole stay as they
    are, and no time of the earlier ones is after one of the later. Words, where a segment has
    them, are its text when joined. ValueError unless the overlap ends after it starts.
    """
    if end_seconds <= start_seconds:
        raise ValueError(f"from {start_seconds} s to {end_seconds} s nothing overlaps")
    overlap = _Overlap(start_seconds, end_seconds)
    first, second = list(_pieces(earlier)), list(_pieces(later))
    kept, dropped = _cut(first, second, overlap)
    return _apart(_with(earlier, first, first[:kept]), _with(later, second, second[dropped:]))


def _pieces(segments: Sequence[Segment]) -> Iterator[_Piece]:
    for index, segment in enumerate(segments):
        if segment.words:
            for word in segment.words:
                times = (word.start_seconds, word.end_seconds)
                yield _Piece(index, word.text, _key(word.text), *times, word=word)
            continue
        seconds = segment.end_seconds - segment.start_seconds
        pace, at = seconds / max(1, len(segment.text)), segment.start_seconds
        for part in _parts(segment.text):
            end = at + pace * len(part)
            yield _Piece(index, part, _key(part), at, end, slack=seconds)
            at = end


def _parts(text: str) -> list[str]:
    """The text in words or characters; what has neither letters nor digits stays with the last."""
    parts = list[str]()
    for part in _PART.findall(text):
        if parts and not _key(part):
            parts[-1] += part
        else:
            parts.append(part)
    return parts


def _key(text: str) -> str:
    """What of a word is compared: its letters and digits."""
    return "".join(filter(str.isalnum, unicodedata.normalize("NFKC", text).casefold()))


def _cut(first: list[_Piece], second: list[_Piece], overlap: _Overlap) -> tuple[int, int]:
    """How many pieces to keep of the earlier window, and how many to drop of the later."""
    seconds = overlap.end - overlap.start
    begin = sum(piece.middle < overlap.start - seconds - piece.slack for piece in first)
    end = sum(piece.middle <= overlap.end + seconds + piece.slack for piece in second)
    runs = _runs(_agreeing(first[begin:], second[:end], overlap))
    if not runs:
        return _cut_by_time(first, second, overlap)

    def worth(run: list[tuple[int, int]]) -> tuple[int, float]:
        centre = first[begin + run[len(run) // 2][0]].middle
        return len(run), -abs(centre - overlap.middle)

    best = max(runs, key=worth)
    from_first, from_second = best[(len(best) - 1) // 2]
    return begin + from_first + 1, from_second + 1


def _agreeing(
    first: list[_Piece], second: list[_Piece], overlap: _Overlap
) -> list[tuple[int, int]]:
    """The pairs of pieces that agree in the cheapest alignment of both, in order."""
    costs = [[0.0] * (len(second) + 1) for _ in range(len(first) + 1)]
    for i, a in enumerate(first):
        costs[i + 1][0] = costs[i][0] + overlap.missed(a)
    for j, b in enumerate(second):
        costs[0][j + 1] = costs[0][j] + overlap.missed(b)
    paired = dict[tuple[int, int], bool]()
    for i, a in enumerate(first):
        for j, b in enumerate(second):
            cost, agrees = overlap.pairing(a, b)
            together = costs[i][j] + cost
            alone = min(costs[i][j + 1] + overlap.missed(a), costs[i + 1][j] + overlap.missed(b))
            costs[i + 1][j + 1] = min(together, alone)
            if together <= alone:
                paired[i, j] = agrees

    pairs = list[tuple[int, int]]()
    i, j = len(first) - 1, len(second) - 1
    while i >= 0 and j >= 0:
        if (i, j) in paired:
            if paired[i, j]:
                pairs.append((i, j))
            i, j = i - 1, j - 1
        elif costs[i][j + 1] + overlap.missed(first[i]) == costs[i + 1][j + 1]:
            i -= 1
        else:
            j -= 1
    return pairs[::-1]


def _runs(pairs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The pairs in groups in which both sides go on without a gap."""
    runs = list[list[tuple[int, int]]]()
    for i, j in pairs:
        if runs and runs[-1][-1] == (i - 1, j - 1):
            runs[-1].append((i, j))
        else:
            runs.append([(i, j)])
    return runs


def _cut_by_time(first: list[_Piece], second: list[_Piece], overlap: _Overlap) -> tuple[int, int]:
    if not first or not second:
        return len(first), 0
    # Beyond the last word of the one and before the first of the other, there is nothing to cut.
    _, at, _ = sorted((second[0].start, overlap.middle, first[-1].end))
    kept = sum(1 for _ in takewhile(lambda piece: piece.middle < at, first))
    return kept, sum(1 for _ in takewhile(lambda piece: piece.middle < at, second))


def _with(segments: Sequence[Segment], pieces: list[_Piece], kept: list[_Piece]) -> list[Segment]:
    """The segments with only those pieces; one that loses all of them goes."""
    left = list[Segment]()
    for index, segment in enumerate(segments):
        before = [piece for piece in pieces if piece.segment == index]
        after = [piece for piece in kept if piece.segment == index]
        if len(after) == len(before):
            left.append(segment)
        elif after:
            whole_start, whole_end = after[0] is before[0], after[-1] is before[-1]
            left.append(
                replace(
                    segment,
                    start_seconds=segment.start_seconds if whole_start else after[0].start,
                    end_seconds=segment.end_seconds if whole_end else after[-1].end,
                    text="".join(piece.text for piece in after).strip(),
                    words=tuple(piece.word for piece in after if piece.word),
                )
            )
    return left


def _apart(
    earlier: list[Segment], later: list[Segment]
) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """Where their times cross, both end in the middle of it."""
    if not earlier or not later or earlier[-1].end_seconds <= later[0].start_seconds:
        return tuple(earlier), tuple(later)
    border = (earlier[-1].end_seconds + later[0].start_seconds) / 2
    return (
        tuple(_within(segment, latest=border) for segment in earlier),
        tuple(_within(segment, earliest=border) for segment in later),
    )


def _within(
    segment: Segment, earliest: float = float("-inf"), latest: float = float("inf")
) -> Segment:
    def inside(seconds: float) -> float:
        return min(max(seconds, earliest), latest)

    words = tuple(
        replace(
            word, start_seconds=inside(word.start_seconds), end_seconds=inside(word.end_seconds)
        )
        for word in segment.words
    )
    return replace(
        segment,
        start_seconds=inside(segment.start_seconds),
        end_seconds=inside(segment.end_seconds),
        words=words,
    )
