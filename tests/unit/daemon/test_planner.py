import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.estimator import Costs
from daemon.planner import (
    Candidate,
    LaneView,
    Plan,
    plan,
    ranges,
    shard_seconds,
    shards,
    shortest_shard_seconds,
)
from daemon.settings import PlannerSettings

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SETTINGS = PlannerSettings(
    linger_seconds=60,
    startup_share=0.1,
    shard_min_seconds=10,
    shard_max_seconds=1_000,
    order_shards_max=8,
)
COSTS = Costs(per_job=10, per_request=1, per_audio_second=0.1)
"""So a shard should have 90 s of work, and a request of 90 audio seconds is 10 s of it."""


def lane(
    slots: int = 2, name: str = "lane", costs: Costs = COSTS, profile: str = "tiny.en", **more: Any
) -> LaneView:
    return LaneView(name=name, costs=costs, slots=slots, profile=profile, **more)


def candidate(
    name: str, seconds: float = 10, age: float = 0, profile: str = "tiny.en", **more: Any
) -> Candidate:
    """A request that takes so many core-seconds."""
    return Candidate(name, profile, (seconds - 1) * 10, NOW - timedelta(seconds=age), **more)


def planned(held: list[Candidate], *lanes: LaneView, **more: Any) -> list[Plan]:
    return plan(held, lanes or (lane(),), SETTINGS, NOW, **more)


def names(order: Plan) -> set[str]:
    return {name for shard in order.shards for name in shard}


def test_a_request_waits_for_company_until_it_has_lingered() -> None:
    assert planned([candidate("a", age=59)]) == []
    [order] = planned([candidate("a", age=60), candidate("b")])
    assert order.shards == (("a",), ("b",))
    assert order.lane == "lane"
    assert order.shard_seconds == (20, 20)


def test_enough_work_for_the_free_slots_does_not_wait() -> None:
    held = [candidate("a", 100), candidate("b", 80)]
    [order] = planned(held)
    assert order.shards == (("a",), ("b",))
    assert planned(held, lane(slots=4)) == [], "two of four slots would stay empty"
    [order] = planned(held, lane(slots=4, taken=2))
    assert names(order) == {"a", "b"}


def test_when_no_more_can_come_nobody_waits_for_a_slot_that_is_free() -> None:
    held = [candidate("a"), candidate("b")]
    assert planned(held) == []
    [order] = planned(held, complete=True)
    assert names(order) == {"a", "b"}
    assert planned(held, lane(taken=2), complete=True) == [], "no slot would be idle without it"


def test_as_many_requests_as_an_order_holds_do_not_wait() -> None:
    some = [candidate(f"r{number}", 1) for number in range(10)]
    settings = SETTINGS.model_copy(update={"order_requests_max": 10})
    assert plan(some[1:], [lane()], settings, NOW) == []
    assert len(plan(some, [lane()], settings, NOW)) == 1


def test_profiles_never_share_an_order() -> None:
    held = [candidate("a", 500), candidate("b", 500, profile="large-v3")]
    lanes = lane(), lane(name="large", profile="large-v3")
    assert {(order.profile, order.lane) for order in planned(held, *lanes)} == {
        ("tiny.en", "lane"),
        ("large-v3", "large"),
    }


def test_a_retry_waits_for_its_time() -> None:
    later = NOW + timedelta(seconds=1)
    held = [candidate("a", age=99, not_before=later)]
    assert plan(held, [lane()], SETTINGS, NOW) == []
    assert len(plan(held, [lane()], SETTINGS, later)) == 1


def test_what_no_slot_could_begin_soon_stays_held() -> None:
    held = [candidate(f"r{number:02}", 900, age=99 - number) for number in range(20)]
    view = lane(slots=4, taken=2)
    [order] = planned(held, view)
    assert view.room == 4, "two slots, and one shard in waiting for every second one"
    assert len(order.shards) == 4
    assert names(order) == {"r00", "r01", "r02", "r03"}
    assert planned(held, lane(slots=4, taken=6)) == []
    assert planned(held, lane(slots=0)) == [], "there is no money for any"


def test_a_lane_that_fails_is_only_probed() -> None:
    held = [candidate(f"r{number}", age=99) for number in range(9)]
    [order] = planned(held, lane(requests_max=2))
    assert len(names(order)) == 2
    assert planned(held, lane(requests_max=0)) == []


CHEAP = lane(name="cheap", slot_dollars_per_hour=0.4)
DEAR = lane(name="dear", slot_dollars_per_hour=1.0)


def test_the_lane_where_audio_costs_least_is_used_whatever_the_order_of_the_settings() -> None:
    held = [candidate("a", age=99), candidate("b")]
    for views in ((CHEAP, DEAR), (DEAR, CHEAP)):
        assert [order.lane for order in planned(held, *views)] == ["cheap"]
    slow = lane(name="slow", slot_dollars_per_hour=0.4, costs=Costs(10, 1, 0.4))
    assert [order.lane for order in planned(held, slow, DEAR)] == ["dear"]
    lossy = lane(name="lossy", slot_dollars_per_hour=0.4, lost_share=0.7)
    assert [order.lane for order in planned(held, lossy, DEAR)] == ["dear"]


@pytest.mark.parametrize("why", [{"requests_max": 0}, {"starved": True}])
def test_a_lane_without_instances_to_give_is_used_last(why: dict[str, Any]) -> None:
    held = [candidate("a", age=99), candidate("b")]
    away = lane(name="away", slot_dollars_per_hour=0.1, **why)
    assert [order.lane for order in planned(held, away, DEAR)] == ["dear"]
    assert [order.lane for order in planned(held, away)] == (["away"] if away.starved else [])


def test_what_the_cheap_lane_has_no_room_for_waits_for_it_unless_it_has_waited_too_long() -> None:
    young = [candidate(f"y{number}", 900, age=99) for number in range(8)]
    [order] = planned(young, CHEAP, DEAR)
    assert (order.lane, len(names(order))) == ("cheap", 4)
    old = [candidate(f"o{number}", 900, age=1_800) for number in range(8)]
    orders = planned([*young, *old], CHEAP, DEAR)
    assert [(order.lane, len(names(order))) for order in orders] == [("cheap", 4), ("dear", 4)]
    assert all(name.startswith("o") for order in orders for name in names(order))


def test_what_presses_goes_where_there_is_room() -> None:
    soon = NOW + timedelta(seconds=60)
    held = [candidate(f"r{number}", 900, deadline=soon) for number in range(6)]
    orders = planned(held, CHEAP, DEAR)
    assert [(order.lane, len(names(order))) for order in orders] == [("cheap", 4), ("dear", 2)]


def test_priority_goes_first_and_waiting_raises_it() -> None:
    settings = SETTINGS.model_copy(update={"aging_seconds": 100})
    held = [
        candidate("old", 900, age=50),
        candidate("high", 900, age=1, priority=1),
        candidate("older", 900, age=180),
        candidate("new", 900),
        candidate("newer", 900),
    ]
    [order] = plan(held, [lane(slots=2, taken=1)], settings, NOW)
    assert names(order) == {"older", "high"}


def test_a_deadline_that_presses_goes_before_everything_and_waits_for_nobody() -> None:
    soon, later = NOW + timedelta(seconds=600), NOW + timedelta(hours=6)
    assert planned([candidate("later", deadline=later)]) == []
    [order] = planned([candidate("soon", deadline=soon)])
    assert names(order) == {"soon"}
    held = [candidate(f"r{n}", 900, age=9_999, priority=9) for n in range(9)]
    held += [candidate("missed", 900, deadline=NOW), candidate("soon", 900, deadline=soon)]
    [order] = planned(held, lane(slots=2, taken=1))
    assert names(order) == {"missed", "soon"}


@pytest.mark.parametrize(
    ("per_job", "seconds"), [(10, 90), (0.5, 10), (1_000, 1_000)], ids=["share", "least", "most"]
)
def test_a_shard_is_long_enough_for_its_start_up(per_job: float, seconds: float) -> None:
    assert shortest_shard_seconds(Costs(per_job, 1, 1), SETTINGS) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("work_seconds", "slots", "seconds"),
    [(100, 8, 90), (800, 8, 100), (6_000, 8, 750), (9_000, 8, 1_000), (100, 0, 90)],
    ids=["short", "one for each slot", "long ones", "too long", "no slot"],
)
def test_a_shard_is_what_a_slot_gets_of_the_work_unless_too_short_or_too_long(
    work_seconds: float, slots: int, seconds: float
) -> None:
    assert shard_seconds(work_seconds, lane(slots), SETTINGS) == seconds


@pytest.mark.parametrize(
    ("work_seconds", "taken", "up", "seconds"),
    [(480, 8, 8, 60), (480, 12, 8, 60), (40, 8, 8, 45), (480, 7, 8, 90), (480, 8, 0, 90)],
    ids=["each something", "others wait", "not too short", "one is free", "none is up"],
)
def test_the_last_work_is_for_all_slots_that_are_up_when_none_of_them_is_free(
    work_seconds: float, taken: int, up: int, seconds: float
) -> None:
    view = lane(20, taken=taken, up=up)
    assert shard_seconds(work_seconds, view, SETTINGS) == seconds


@pytest.mark.parametrize(
    ("requests", "seconds", "count"), [(10, 90, 2), (40, 100, 4), (46, 100, 4), (60, 100, 6)]
)
def test_shards_are_as_many_as_the_work_makes(requests: int, seconds: float, count: int) -> None:
    held = [candidate(f"r{number}") for number in range(requests)]
    assert len(shards(held, seconds, lane(), SETTINGS)) == count


def test_as_the_work_runs_out_shards_become_shorter() -> None:
    held = [candidate(f"r{number:03}", 90, age=999 - number) for number in range(200)]
    lengths = []
    while held:
        orders = planned(held, lane(slots=4, taken=4), complete=True)
        placed = {name for order in orders for name in names(order)}
        lengths += [max(order.shard_seconds) for order in orders]
        held = [one for one in held if one.request_id not in placed]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] >= 10 * lengths[-1]


def test_a_single_request_makes_a_single_shard() -> None:
    assert shards([candidate("a")], 90, lane(), SETTINGS) == (("a",),)


def test_three_requests_fill_one_chip() -> None:
    held = [candidate("a", 9), candidate("b", 5), candidate("c", 4)]
    assert {frozenset(shard) for shard in shards(held, 90, lane(), SETTINGS)} == {
        frozenset("a"),
        frozenset("bc"),
    }


def test_a_lone_retry_shares_its_chip_but_not_its_process() -> None:
    held = [candidate("x", alone=True), candidate("a"), candidate("b")]
    packed = shards(held, 90, lane(), SETTINGS)

    assert sorted(packed) == [("a", "b"), ("x",)]


def test_a_long_recording_does_not_hold_a_pair_but_is_cut_for_both_cores() -> None:
    [order] = planned([candidate("long", 121, age=60)])

    assert order.is_cut
    assert order.shards == (("long",), ("long",))
    assert order.shard_seconds == (71, 71), "10 s to begin, 1 s for a request, 60 s of audio"


def test_a_recording_longer_than_a_shard_has_an_order_of_its_own_beside_the_others() -> None:
    short = [candidate(f"short{n}", 45, age=60) for n in range(8)]
    long, brief = planned([candidate("long", 601, age=60), *short], lane(slots=40))

    assert (long.is_cut, names(long), len(long.shards)) == (True, {"long"}, 8)
    assert names(brief) == {one.request_id for one in short}
    assert not brief.is_cut
    assert len(brief.shards) == 4


def test_a_recording_is_not_cut_where_that_saves_little_or_must_not_be() -> None:
    def cut(*held: Candidate, seconds: float = 90, settings: PlannerSettings = SETTINGS) -> bool:
        return bool(ranges(held, seconds, lane(), settings))

    long = candidate("long", 121)
    assert cut(long)
    assert not cut(long, candidate("other", 111)), "the other one ends 10 s sooner"
    assert cut(long, candidate("other", 91)), "the other one ends 30 s sooner"
    assert not cut(long, *(candidate(f"r{n}", 100) for n in range(9)), seconds=1_000)
    assert not cut(candidate("long", 120.9)), "ranges would be shorter than ten minutes"
    assert not cut(candidate("long", 121, sequential=True))
    assert not cut(long, settings=PlannerSettings(range_min_seconds=700))


def test_what_was_cut_before_is_cut_into_as_many_ranges_again() -> None:
    [order] = planned([candidate("long", 121, age=60, alone=True, ranges=6), candidate("a", 2)])[:1]

    assert order.shards == (("long",),) * 6


def test_a_large_backlog_is_several_orders_within_the_bounds() -> None:
    settings = PlannerSettings(
        order_requests_max=10, order_shards_max=4, shard_min_seconds=1, shard_max_seconds=2
    )
    held = [candidate(f"r{n}", age=99) for n in range(25)]
    orders = plan(held, [lane(slots=400)], settings, NOW)

    assert [sum(map(len, order.shards)) for order in orders] == [9, 8, 8]
    assert all(len(order.shards) == 4 for order in orders)


candidates = st.lists(st.tuples(st.floats(1, 1e4), st.booleans()), min_size=1, max_size=60).map(
    lambda xs: [candidate(f"r{n}", s, alone=a) for n, (s, a) in enumerate(xs)]
)
lengths = st.floats(1, 1e4)
lane_views = st.builds(lane, st.integers(2, 40), taken=st.integers(0, 40))


@given(candidates, lane_views, lengths)
def test_every_request_is_in_exactly_one_shard_and_no_shard_is_empty(
    held: list[Candidate], view: LaneView, seconds: float
) -> None:
    packed = shards(held, seconds, view, SETTINGS)

    assert sorted(name for shard in packed for name in shard) == sorted(c.request_id for c in held)
    assert all(packed)
    alone = {c.request_id for c in held if c.alone}
    assert all(len(shard) == 1 for shard in packed if alone & set(shard))


@given(candidates, lane_views, lengths)
def test_the_number_of_shards_is_even_wherever_it_can_be(
    held: list[Candidate], view: LaneView, seconds: float
) -> None:
    packed = shards(held, seconds, view, SETTINGS)

    alone = sum(c.alone for c in held)
    company = len(held) - alone
    # One in company cannot be two shards, and none cannot even out the lone ones.
    avoidable = company > 1 or (company == 1 and alone % 2) or (company == 0 and alone % 2 == 0)
    assert len(packed) % 2 == 0 or not avoidable


@given(candidates, st.lists(lane_views, max_size=3), st.booleans())
def test_a_request_is_planned_once_or_stays_held_and_no_lane_gets_more_than_fits(
    held: list[Candidate], views: list[LaneView], complete: bool
) -> None:
    lanes = [lane(v.slots, taken=v.taken, name=f"l{n}") for n, v in enumerate(views)]
    orders = plan(held, lanes, SETTINGS, NOW + timedelta(seconds=99), complete=complete)

    cut = [order.shards[0][0] for order in orders if order.is_cut]
    whole = [order for order in orders if not order.is_cut]
    placed = cut + [name for order in whole for shard in order.shards for name in shard]
    assert len(placed) == len(set(placed))
    assert set(placed) <= {c.request_id for c in held}
    assert placed or not any(view.room for view in lanes)
    seconds = {c.request_id: COSTS.of_request(c.audio_seconds) for c in held}
    alone = {c.request_id for c in held if c.alone}
    for view in lanes:
        mine = [shard for order in orders if order.lane == view.name for shard in order.shards]
        work = sum(seconds[name] for name in {name for shard in mine for name in shard})
        longest = max((seconds[name] for shard in mine for name in shard), default=0)
        assert work <= view.room * SETTINGS.shard_max_seconds + longest
        lone = {shard for shard in mine if len(shard) == 1 and shard[0] in alone}
        assert len(lone) <= view.room


@given(candidates, lane_views, lengths)
def test_ranges_are_even_in_number_and_not_too_short(
    held: list[Candidate], view: LaneView, seconds: float
) -> None:
    lengths_of = {one.request_id: one.audio_seconds for one in held}
    for name, count in ranges(held, seconds, view, SETTINGS).items():
        assert count % 2 == 0
        assert 2 <= count <= SETTINGS.order_shards_max
        assert lengths_of[name] / count >= SETTINGS.range_min_seconds


@given(candidates, lane_views, lengths)
def test_what_is_left_whole_is_too_short_to_cut_or_keeps_nobody_waiting_for_long(
    held: list[Candidate], view: LaneView, seconds: float
) -> None:
    counts = ranges(held, seconds, view, SETTINGS)
    left = [one for one in held if one.request_id not in counts]
    weights = [COSTS.of_request(one.audio_seconds) for one in left]
    count = 2 * max(1, round(sum(weights) / seconds / 2))
    for one, weight in zip(left, weights, strict=True):
        idle = count * weight - sum(weights)
        short = one.audio_seconds < 2 * SETTINGS.range_min_seconds
        assert short or idle <= 2 * COSTS.per_job


def test_ten_thousand_held_requests_are_planned_at_once() -> None:
    held = [candidate(f"r{n}", 1 + n * 7919 % 600, age=n % 90) for n in range(10_000)]
    view = lane(slots=2_000)
    began = time.process_time()
    orders = plan(held, [view], PlannerSettings(), NOW)
    seconds = time.process_time() - began
    assert sum(len(names(order)) for order in orders) == 10_000
    assert seconds < PLANNING_MAX_SECONDS, f"{seconds * 1000:.0f} ms"


PLANNING_MAX_SECONDS = 0.25
"""On any machine; on an idle one it takes less than 0.05."""
