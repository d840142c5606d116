"""Packing against bounds that no packing can pass, and against every packing there is."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.packing import packed

NEAR_BEST = 1.05
"""With eight pieces per shard, the longest shard is at most that times what is possible."""

weights = st.floats(0, 1e4)


def loads(seconds: Sequence[float], shards: list[list[int]]) -> list[float]:
    return [sum(seconds[piece] for piece in shard) for shard in shards]


def least_makespan(seconds: Sequence[float], shards: int) -> float:
    """What no packing can do better than.

    Besides the mean and the longest piece: of the k·m + 1 longest pieces, some shard has k + 1,
    which are at least the k + 1 shortest of them.
    """
    ordered = sorted(seconds, reverse=True)
    pigeonhole = (
        sum(ordered[k * shards - k : k * shards + 1])
        for k in range(1, (len(ordered) - 1) // shards + 1)
    )
    return max(sum(seconds) / shards, max(seconds), *pigeonhole, 0.0)


@given(st.lists(weights, max_size=80), st.integers(1, 24))
def test_every_piece_is_in_one_shard_the_longest_first(seconds: list[float], count: int) -> None:
    shards = packed(seconds, count)
    assert len(shards) == count
    assert sorted(piece for shard in shards for piece in shard) == list(range(len(seconds)))
    assert all(shards) or len(seconds) < count
    for shard in shards:
        lengths = [max(seconds[piece], 1e-6) for piece in shard]
        assert lengths == sorted(lengths, reverse=True)


@given(st.lists(weights, min_size=1, max_size=120), st.integers(1, 24))
def test_the_longest_shard_is_within_the_bound_of_any_list(
    seconds: list[float], count: int
) -> None:
    """Graham 1966: nobody waits while a shard is idle."""
    longest = max(loads(seconds, packed(seconds, count)))
    assert longest <= sum(seconds) / count + max(seconds) * (1 - 1 / count) + 1e-3


@given(st.integers(2, 24), st.data())
def test_with_eight_pieces_a_shard_all_end_together(count: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(8 * count, 12 * count))
    seconds = data.draw(st.lists(weights, min_size=size, max_size=size))
    longest = max(loads(seconds, packed(seconds, count)))
    assert longest <= NEAR_BEST * least_makespan(seconds, count) + 1e-3


@pytest.mark.parametrize("shards", [2, 4])
@pytest.mark.parametrize("pieces", [17, 33])
def test_one_piece_too_many_of_equal_ones_cannot_be_shared(shards: int, pieces: int) -> None:
    """Why the bound is not the mean: 17 equal pieces in 2 shards end 5.9 % after it."""
    longest = max(loads([1.0] * pieces, packed([1.0] * pieces, shards)))
    assert longest == -(-pieces // shards)
    assert longest == least_makespan([1.0] * pieces, shards)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=7), st.integers(1, 3))
def test_few_pieces_are_packed_nearly_as_well_as_they_can_be(
    seconds: list[int], count: int
) -> None:
    every_way = product(range(count), repeat=len(seconds))
    best = min(
        max(sum(s for s, at in zip(seconds, way, strict=True) if at == n) for n in range(count))
        for way in every_way
    )
    found = max(loads(seconds, packed(seconds, count)))
    assert found <= best * (4 / 3 - 1 / (3 * count)) + 1e-9


def test_what_longest_first_does_worst_is_mended_by_exchanges() -> None:
    """Graham's own example for two shards: 3, 3, 2, 2, 2 are 7 and 5 by longest first."""
    assert sorted(loads([3, 3, 2, 2, 2], packed([3, 3, 2, 2, 2], 2))) == [6, 6]
