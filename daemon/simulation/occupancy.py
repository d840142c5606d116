"""What each chip did over time, and how the backlog and the fleet grew and shrank. Pure.

Chips are shown in rows: an instance takes the lowest rows that are free at its launch, so a row is
one chip after the other, and there are no more rows than chips were ever up at once.
"""

import heapq
import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain

from daemon.catalogue import instance_type
from daemon.simulation.history import InstanceLife, Spans


class State(IntEnum):
    """What a chip does; the order is that of the colours."""

    AWAY = 0
    BOOTING = 1
    IDLE = 2
    ONE_CORE = 3
    TWO_CORES = 4


@dataclass(frozen=True, slots=True)
class Occupancy:
    """Rows of states; every column is `column_seconds` long and shows what took most of it."""

    column_seconds: float
    rows: list[list[State]]


@dataclass(frozen=True, slots=True)
class Means:
    """A number that changes over time, as its mean in each of some columns of equal length."""

    column_seconds: float
    values: list[float]


def occupancy(lives: Sequence[InstanceLife], columns: int) -> Occupancy:
    """The chips of all instances, in so many columns of equal length."""
    end_seconds = max((life.ended_at for life in lives), default=1.0)
    column_seconds = end_seconds / columns
    rows: list[list[State]] = []
    for life, first_row in _places(lives):
        for row, chip in enumerate(life.chips(), start=first_row):
            while len(rows) <= row:
                rows.append([State.AWAY] * columns)
            _fill(rows[row], life, chip, column_seconds)
    return Occupancy(column_seconds, rows)


def _places(lives: Sequence[InstanceLife]) -> Iterable[tuple[InstanceLife, int]]:
    """Each instance with its first row; instances of several chips stand in rows side by side."""
    sizes = {instance_type(life.instance_type).chips for life in lives}
    step = max(sizes, default=1)
    free: list[int] = []
    leaving: list[tuple[float, int]] = []
    places = 0
    for life in lives:
        while leaving and leaving[0][0] <= life.launched_at:
            heapq.heappush(free, heapq.heappop(leaving)[1])
        if free:
            place = heapq.heappop(free)
        else:
            place, places = places, places + 1
        heapq.heappush(leaving, (life.ended_at, place))
        yield life, place * step


def _fill(
    row: list[State], life: InstanceLife, chip: Sequence[Spans], column_seconds: float
) -> None:
    columns = len(row)
    first = int(life.launched_at / column_seconds)
    last = min(columns, math.ceil(life.ended_at / column_seconds))
    busy = [_busy(spans, first, last, column_seconds) for spans in chip]
    ready_at = life.ended_at if life.ready_at is None else life.ready_at
    for column in range(first, last):
        middle = (column + 0.5) * column_seconds
        if not life.launched_at <= middle < life.ended_at:
            continue
        working = sum(seconds[column - first] > column_seconds / 2 for seconds in busy)
        if working:
            row[column] = State.ONE_CORE if working == 1 else State.TWO_CORES
        else:
            row[column] = State.BOOTING if middle < ready_at else State.IDLE


def _busy(spans: Spans, first: int, last: int, column_seconds: float) -> list[float]:
    """Busy seconds of one core in each of the columns from first to last."""
    busy = [0.0] * max(0, last - first)
    for start, end in zip(spans.starts, spans.ends, strict=True):
        column = int(start / column_seconds)
        while column < last and column * column_seconds < end:
            left, right = column * column_seconds, (column + 1) * column_seconds
            if column >= first:
                busy[column - first] += min(end, right) - max(start, left)
            column += 1
    return busy


def chips_over_time(lives: Iterable[InstanceLife], end_seconds: float, columns: int) -> Means:
    """How many chips are paid for."""
    changes = []
    for life in lives:
        chips = instance_type(life.instance_type).chips
        changes += [(life.launched_at, chips), (life.ended_at, -chips)]
    return _means(sorted(changes), end_seconds, columns)


def backlog_over_time(
    arrived_at: "array[float]", settled_at: "array[float]", end_seconds: float, columns: int
) -> Means:
    """How many requests have arrived and have come to no end."""
    come = ((at, 1) for at in arrived_at)
    gone = ((at, -1) for at in sorted(at for at in settled_at if not math.isnan(at)))
    return _means(heapq.merge(come, gone), end_seconds, columns)


def _means(changes: Iterable[tuple[float, int]], end_seconds: float, columns: int) -> Means:
    column_seconds = end_seconds / columns
    areas = [0.0] * columns
    since, value = 0.0, 0
    for at, change in chain(changes, [(end_seconds, 0)]):
        column = int(since / column_seconds)
        while value and column < columns and column * column_seconds < at:
            right = (column + 1) * column_seconds
            areas[column] += value * (min(at, right) - max(since, column * column_seconds))
            column += 1
        since, value = at, value + change
    return Means(column_seconds, [area / column_seconds for area in areas])
