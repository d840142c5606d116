from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.planner import Candidate, estimate_seconds, plan, shards
from daemon.settings import PlannerSettings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SETTINGS = PlannerSettings(linger_seconds=60, shard_target_seconds=100, order_shards_max=8)


def candidate(
    name: str, seconds: float = 10, age: float = 0, profile: str = "tiny.en", **more: Any
) -> Candidate:
    return Candidate(name, profile, seconds, NOW - timedelta(seconds=age), **more)


def test_a_request_waits_for_company_until_it_has_lingered() -> None:
    assert plan([candidate("a", age=59)], SETTINGS, NOW) == []
    [order] = plan([candidate("a", age=60), candidate("b")], SETTINGS, NOW)
    assert order.shards == (("a",), ("b",))


def test_enough_work_for_two_shards_does_not_wait() -> None:
    [order] = plan([candidate("a", 120), candidate("b", 80)], SETTINGS, NOW)

    assert order.shards == (("a",), ("b",))


def test_profiles_never_share_an_order() -> None:
    held = [candidate("a", 500), candidate("b", 500, profile="large-v3")]

    assert {order.profile for order in plan(held, SETTINGS, NOW)} == {"tiny.en", "large-v3"}


def test_a_retry_waits_for_its_time() -> None:
    later = NOW + timedelta(seconds=1)

    assert plan([candidate("a", age=99, not_before=later)], SETTINGS, NOW) == []
    assert len(plan([candidate("a", age=99, not_before=later)], SETTINGS, later)) == 1


def test_a_single_request_makes_a_single_shard() -> None:
    assert shards([candidate("a")], SETTINGS) == (("a",),)


def test_three_requests_fill_one_chip() -> None:
    assert shards([candidate("a", 9), candidate("b", 5), candidate("c", 4)], SETTINGS) == (
        ("a",),
        ("b", "c"),
    )


def test_a_lone_retry_shares_its_chip_but_not_its_process() -> None:
    packed = shards([candidate("x", alone=True), candidate("a"), candidate("b")], SETTINGS)

    assert sorted(packed) == [("a", "b"), ("x",)]


def test_a_large_backlog_is_several_orders_within_the_bounds() -> None:
    settings = PlannerSettings(order_requests_max=10, order_shards_max=4, shard_target_seconds=1)

    orders = plan([candidate(f"r{n}") for n in range(25)], settings, NOW)

    assert [sum(map(len, order.shards)) for order in orders] == [9, 8, 8]
    assert all(len(order.shards) == 4 for order in orders)


candidates = st.lists(st.tuples(st.floats(0, 1e4), st.booleans()), min_size=1, max_size=60).map(
    lambda xs: [candidate(f"r{n}", s, alone=a) for n, (s, a) in enumerate(xs)]
)


@given(candidates)
def test_every_request_is_in_exactly_one_shard_and_no_shard_is_empty(held: list[Candidate]) -> None:
    packed = shards(held, SETTINGS)

    assert sorted(name for shard in packed for name in shard) == sorted(c.request_id for c in held)
    assert all(packed)
    alone = {c.request_id for c in held if c.alone}
    assert all(len(shard) == 1 for shard in packed if alone & set(shard))


@given(candidates)
def test_the_number_of_shards_is_even_wherever_it_can_be(held: list[Candidate]) -> None:
    packed = shards(held, SETTINGS)

    alone = sum(c.alone for c in held)
    company = len(held) - alone
    # One in company cannot be two shards, and none cannot even out the lone ones.
    avoidable = company > 1 or (company == 1 and alone % 2) or (company == 0 and alone % 2 == 0)
    assert len(packed) % 2 == 0 or not avoidable


@given(candidates)
def test_the_longest_shard_stays_within_the_bound_of_longest_first(held: list[Candidate]) -> None:
    company = [c for c in held if not c.alone]
    packed = shards(company, SETTINGS)
    if not company:
        return
    seconds = {c.request_id: c.estimate_seconds for c in company}
    loads = [sum(seconds[name] for name in shard) for shard in packed]
    best = max(sum(seconds.values()) / len(packed), max(seconds.values()))

    assert max(loads) <= best * 2 - min(loads) / len(packed) + 1e-3
    assert max(loads) - min(loads) <= max(seconds.values()) + 1e-3


@pytest.mark.parametrize(
    ("duration", "size", "expected"),
    [(100.0, 9, 2.0), (None, 160_000, 0.2), (None, None, 6.0)],
)
def test_an_estimate_uses_the_best_hint(
    duration: float | None, size: int | None, expected: float
) -> None:
    assert estimate_seconds(duration, size, PlannerSettings()) == pytest.approx(expected)
