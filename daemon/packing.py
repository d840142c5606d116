"""Packing: how work of known lengths is shared among shards that should end together.

Longest processing time first, then exchanges between the longest shard and another, as long as they
make the longest shorter. The first alone ends within 4/3 - 1/(3 x shards) of the best possible
(Graham, "Bounds on multiprocessing timing anomalies", 1969), and exchanges never make it worse.
"""

import heapq
from bisect import bisect_left
from collections.abc import Sequence

EXCHANGES_PER_SHARD = 3
PARTNERS = 4
"""Bounds that keep planning quick: how many exchanges, each tried with how many of the shortest
shards. What is left of the longest shard's lead after them is small."""

WEIGHT_MIN = 1e-6
"""Nothing weighs nothing, so every shard gets one piece before any gets two."""

CLOSE_ENOUGH = 1e-3
"""As a share of the longest shard: nobody notices less."""


def packed(seconds: Sequence[float], shards: int) -> list[list[int]]:
    """The pieces, by their place in `seconds`, of each shard, the longest piece of each first.

    With at least as many pieces as shards, no shard is empty.
    """
    weights = [max(one, WEIGHT_MIN) for one in seconds]
    contents = _longest_first(weights, shards)
    if shards > 1:
        _exchange(weights, contents)
    return [sorted(content, key=lambda piece: (-weights[piece], piece)) for content in contents]


def _longest_first(weights: Sequence[float], shards: int) -> list[list[int]]:
    loads = [(0.0, number) for number in range(shards)]
    contents: list[list[int]] = [[] for _ in range(shards)]
    for piece in sorted(range(len(weights)), key=lambda piece: -weights[piece]):
        load, number = heapq.heappop(loads)
        contents[number].append(piece)
        heapq.heappush(loads, (load + weights[piece], number))
    return contents


def _exchange(weights: Sequence[float], contents: list[list[int]]) -> None:
    """Move or swap pieces until the longest shard is as short as single exchanges make it."""
    loads = [sum(weights[piece] for piece in content) for content in contents]
    for _ in range(EXCHANGES_PER_SHARD * len(contents)):
        longest = max(range(len(loads)), key=loads.__getitem__)
        # The shortest shard first: it leaves the most room.
        for other in heapq.nsmallest(PARTNERS, range(len(loads)), key=loads.__getitem__):
            gap = loads[longest] - loads[other]
            if gap <= CLOSE_ENOUGH * loads[longest]:
                return
            found = _best_exchange(weights, contents[longest], contents[other], gap)
            if found is not None:
                break
        else:
            return
        given, taken = found
        contents[longest].remove(given)
        contents[other].append(given)
        moved = weights[given]
        if taken is not None:
            contents[other].remove(taken)
            contents[longest].append(taken)
            moved -= weights[taken]
        loads[longest] -= moved
        loads[other] += moved


def _best_exchange(
    weights: Sequence[float], longer: Sequence[int], shorter: Sequence[int], gap: float
) -> tuple[int, int | None] | None:
    """What to give from the longer to the shorter, and what to take for it.

    The nearer the difference is to half of the gap, the better; beyond the whole gap it helps
    nobody.
    """
    by_weight = sorted(shorter, key=weights.__getitem__)
    sorted_weights = [weights[piece] for piece in by_weight]
    best: tuple[int, int | None] | None = None
    best_off = gap / 2 * (1 - CLOSE_ENOUGH)
    for given in longer:
        if len(longer) > 1 and abs(weights[given] - gap / 2) < best_off:
            best, best_off = (given, None), abs(weights[given] - gap / 2)
        at = bisect_left(sorted_weights, weights[given] - gap / 2)
        for near in (at - 1, at):
            if 0 <= near < len(by_weight):
                off = abs(weights[given] - sorted_weights[near] - gap / 2)
                if off < best_off:
                    best, best_off = (given, by_weight[near]), off
    return best
