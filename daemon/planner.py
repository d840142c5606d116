"""The planner: which held requests become an order now, where, and how its shards share them.

Pure: plain data and the time in, plans out. Requests of a profile are held for company until one
of them has lingered long enough or its deadline presses, until they are work enough for every slot
that is free, or, while slots are free, until no more can come. The most urgent go first, to the
lane where audio costs least; what it has no room for stays held, where it can still be grouped well
and be overtaken, and goes to a dearer lane only when its deadline presses, when it has waited for
too long, or when the cheaper one has no instances to give.

A shard is as short as may be for its start-up to stay a small share of what is paid for, longer
where there is more work than slots, and shorter as the work runs out; so all slots end together.
The number of shards is even, because a chip has two cores and pays for both, and they end together
(see `packing`). A request that must run alone gets a shard of its own. A recording so long that
others would wait for its shard is cut: it gets an order of its own, a range in each shard.
Invariant: every request is in one shard of one plan, or cut in one plan, or stays held.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.estimator import Costs
from daemon.packing import packed
from daemon.settings import PlannerSettings

LOST_SHARE_MAX = 0.9
"""Beyond that, a lane is dear enough."""

LAST_SHARE = 0.5
"""So short may the last shards be, beside the usual length. Shorter ones pay for more starts,
longer ones for more idle cores: of 1, 0.5 and 0, this costs least over the shipped scenarios."""

LOOKAHEAD_SHARE = 0.5
"""Of a lane's slots: so many shards may wait for one, so that none is idle between two orders."""


def dollars_per_audio_hour(slot_dollars_per_hour: float, costs: Costs, lost_share: float) -> float:
    """What an hour of audio costs on a lane, work that is lost with instances included."""
    dollars = slot_dollars_per_hour * costs.per_audio_second
    return dollars / (1 - min(lost_share, LOST_SHARE_MAX))


@dataclass(frozen=True, slots=True)
class Candidate:
    """A held request as the planner sees it; `audio_seconds` is what is expected.

    Of two requests, the one with the higher priority goes first, but each `aging_seconds` of
    waiting count as one more. A `deadline` is when the transcript is wanted. What was cut before is
    cut into as many `ranges` again, of which some may be done; what is `sequential` never is.
    """

    request_id: str
    profile: str
    audio_seconds: float
    held_since: datetime
    not_before: datetime | None = None
    alone: bool = False
    priority: int = 0
    deadline: datetime | None = None
    ranges: int | None = None
    sequential: bool = False

    def is_ready(self, now: datetime) -> bool:
        """Whether it need not wait any longer before it is tried again."""
        return self.not_before is None or self.not_before <= now


@dataclass(frozen=True, slots=True)
class LaneView:
    """A lane as the planner sees it: `slots` at its ceiling, `taken` by shards that are not over.

    `up` of the slots have an instance, or will have one soon. `requests_max` bounds what may be
    ordered from it now: a lane that fails is only probed. It is
    `starved` when what was ordered long ago has no instance yet. `lost_share` is how much of the
    work is lost with instances that are taken away.
    """

    name: str
    profile: str
    costs: Costs
    slots: int
    taken: int = 0
    up: int = 0
    requests_max: float = math.inf
    slot_dollars_per_hour: float = 0.0
    starved: bool = False
    lost_share: float = 0.0

    @property
    def preference(self) -> tuple[bool, float]:
        """The smaller, the better: one that has instances, then by the dollars of an audio hour."""
        unavailable = self.starved or not self.requests_max
        return unavailable, dollars_per_audio_hour(
            self.slot_dollars_per_hour, self.costs, self.lost_share
        )

    @property
    def free(self) -> int:
        """Slots that no shard is for."""
        return max(0, self.slots - self.taken)

    @property
    def room(self) -> int:
        """How many shards it takes now: an even number, and none without a slot."""
        if not self.slots:
            return 0
        ahead = max(2, int(self.slots * LOOKAHEAD_SHARE))
        return max(0, self.slots + ahead - self.taken) // 2 * 2


@dataclass(frozen=True, slots=True)
class Plan:
    """One order to be: request ids by shard, and the core-seconds each shard should take.

    All shards of one that `is_cut` are ranges of the same request.
    """

    profile: str
    lane: str
    shards: tuple[tuple[str, ...], ...]
    shard_seconds: tuple[float, ...]
    is_cut: bool = False


def plan(
    held: Sequence[Candidate],
    lanes: Sequence[LaneView],
    settings: PlannerSettings,
    now: datetime,
    *,
    complete: bool = False,
) -> list[Plan]:
    """The orders to make now; of lanes that are as good as each other, the first listed is taken.

    `complete` says that no more requests can come until some of these are settled.
    """
    by_profile: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in held:
        if candidate.is_ready(now):
            by_profile[candidate.profile].append(candidate)
    plans = []
    for profile, ready in by_profile.items():
        waiting = sorted(ready, key=lambda one: _urgency(one, settings, now))
        of_profile = sorted(
            (lane for lane in lanes if lane.profile == profile), key=lambda lane: lane.preference
        )
        for lane in of_profile:
            dearer = lane.preference > of_profile[0].preference
            may, stay = _overflowing(waiting, settings, now) if dearer else (waiting, [])
            if may and ((complete and lane.free) or _is_due(may, lane, settings, now)):
                work_seconds = sum(lane.costs.of_request(one.audio_seconds) for one in may)
                seconds = shard_seconds(work_seconds, lane, settings)
                some, left = _that_fit(may, seconds, lane)
                plans += _orders(some, seconds, lane, settings)
                waiting = left + stay
    return plans


def shortest_shard_seconds(costs: Costs, settings: PlannerSettings) -> float:
    """The shortest shard whose start-up is no more than the share of paid time that it may be."""
    wanted = costs.per_job * (1 - settings.startup_share) / settings.startup_share
    return min(max(wanted, settings.shard_min_seconds), settings.shard_max_seconds)


def shard_seconds(work_seconds: float, lane: LaneView, settings: PlannerSettings) -> float:
    """How long shards should be: for every slot one, if that is not too short or too long.

    So they become shorter as the work runs out, and all slots end together (guided
    self-scheduling; Polychronopoulos and Kuck, IEEE Transactions on Computers 36, 1987). Where
    every slot that is up has work, the last of it is for all of them: a long shard would keep a
    chip half filled, and the others waiting to be scaled in.
    """
    shortest = shortest_shard_seconds(lane.costs, settings)
    if 0 < lane.up <= lane.taken:
        least = max(settings.shard_min_seconds, LAST_SHARE * shortest)
        shortest = min(shortest, max(work_seconds / lane.up, least))
    return min(max(work_seconds / max(2, lane.slots), shortest), settings.shard_max_seconds)


def shards(
    candidates: Sequence[Candidate], seconds: float, lane: LaneView, settings: PlannerSettings
) -> tuple[tuple[str, ...], ...]:
    """Request ids by shard, each of about that length; an even number of shards where possible.

    Only a single candidate, or lone ones with nobody in company to even them out, leave it odd.
    """
    alone = [candidate for candidate in candidates if candidate.alone]
    company = [candidate for candidate in candidates if not candidate.alone]
    weights = [lane.costs.of_request(candidate.audio_seconds) for candidate in company]
    count = _shard_count(weights, len(alone), seconds, settings)
    in_company = packed(weights, count)
    return (
        *(tuple(company[index].request_id for index in shard) for shard in in_company),
        *((candidate.request_id,) for candidate in alone),
    )


def ranges(
    candidates: Sequence[Candidate], seconds: float, lane: LaneView, settings: PlannerSettings
) -> dict[str, int]:
    """Into how many ranges, an even number, recordings are cut that others would wait for.

    Ranges cost starts of jobs. They are worth it where the shards that end sooner would wait for
    longer than the starts of a pair of jobs take.
    """
    counts = {one.request_id: one.ranges for one in candidates if one.ranges is not None}
    left = sorted(
        (one for one in candidates if one.request_id not in counts),
        key=lambda one: -one.audio_seconds,
    )
    total_seconds = sum(lane.costs.of_request(one.audio_seconds) for one in left)
    for longest in left:
        most = int(longest.audio_seconds / settings.range_min_seconds) // 2 * 2
        most = min(most, settings.order_shards_max)
        if longest.sequential or most < 2:
            continue
        weight = lane.costs.of_request(longest.audio_seconds)
        shards_to_be = 2 * max(1, round(total_seconds / seconds / 2))
        idle_seconds = shards_to_be * weight - total_seconds
        if idle_seconds <= 2 * lane.costs.per_job:
            break
        counts[longest.request_id] = min(2 * math.ceil(weight / seconds / 2), most)
        total_seconds -= weight
    return counts


def _urgency(candidate: Candidate, settings: PlannerSettings, now: datetime) -> tuple[float, ...]:
    """The smaller, the sooner: a deadline that presses, then priority and waiting, then age."""
    presses = _presses(candidate, settings, now)
    waited_seconds = (now - candidate.held_since).total_seconds()
    grown = candidate.priority + waited_seconds / settings.aging_seconds
    deadline = candidate.deadline.timestamp() if presses and candidate.deadline else 0.0
    return (0.0 if presses else 1.0, deadline, -grown)


def _presses(candidate: Candidate, settings: PlannerSettings, now: datetime) -> bool:
    notice = timedelta(seconds=settings.deadline_notice_seconds)
    return candidate.deadline is not None and candidate.deadline - now <= notice


def _overflowing(
    waiting: list[Candidate], settings: PlannerSettings, now: datetime
) -> tuple[list[Candidate], list[Candidate]]:
    """Those that may go to a dearer lane, and those that wait for the cheaper one."""
    may: list[Candidate] = []
    stay: list[Candidate] = []
    for candidate in waiting:
        waited_seconds = (now - candidate.held_since).total_seconds()
        late = waited_seconds >= settings.overflow_after_seconds
        (may if late or _presses(candidate, settings, now) else stay).append(candidate)
    return may, stay


def _is_due(
    ready: Sequence[Candidate], lane: LaneView, settings: PlannerSettings, now: datetime
) -> bool:
    if len(ready) >= settings.order_requests_max:
        return True
    if any(_presses(candidate, settings, now) for candidate in ready):
        return True
    lingered = now - min(candidate.held_since for candidate in ready)
    if lingered >= timedelta(seconds=settings.linger_seconds):
        return True
    work_seconds = sum(lane.costs.of_request(candidate.audio_seconds) for candidate in ready)
    return work_seconds >= max(2, lane.free) * shortest_shard_seconds(lane.costs, settings)


def _that_fit(
    waiting: list[Candidate], seconds: float, lane: LaneView
) -> tuple[list[Candidate], list[Candidate]]:
    """The most urgent that the lane has room for in shards of that length, and the rest."""
    room_seconds = lane.room * seconds
    most = min(float(len(waiting)), lane.requests_max)
    count = 0
    while count < most and room_seconds > 0:
        candidate = waiting[count]
        weight = lane.costs.of_request(candidate.audio_seconds)
        # One that runs alone takes a slot, however short it is.
        room_seconds -= max(weight, seconds) if candidate.alone else weight
        if room_seconds < 0 and count:
            break
        count += 1
    return waiting[:count], waiting[count:]


def _orders(
    candidates: Sequence[Candidate], seconds: float, lane: LaneView, settings: PlannerSettings
) -> list[Plan]:
    """At most `order_requests_max` requests each, and no order of one beside a full one."""
    counts = ranges(candidates, seconds, lane, settings)
    cut = [candidate for candidate in candidates if candidate.request_id in counts]
    whole = [candidate for candidate in candidates if candidate.request_id not in counts]
    parts = math.ceil(len(whole) / settings.order_requests_max)
    return [
        *(_cut_order(one, counts[one.request_id], lane) for one in cut),
        *(_order(whole[number::parts], seconds, lane, settings) for number in range(parts)),
    ]


def _cut_order(candidate: Candidate, count: int, lane: LaneView) -> Plan:
    of_range = lane.costs.of_shard(1, candidate.audio_seconds / count)
    return Plan(
        lane.profile,
        lane.name,
        ((candidate.request_id,),) * count,
        (of_range,) * count,
        is_cut=True,
    )


def _order(
    candidates: Sequence[Candidate], seconds: float, lane: LaneView, settings: PlannerSettings
) -> Plan:
    of_shards = shards(candidates, seconds, lane, settings)
    audio = {candidate.request_id: candidate.audio_seconds for candidate in candidates}
    return Plan(
        lane.profile,
        lane.name,
        of_shards,
        tuple(
            lane.costs.of_shard(len(shard), sum(audio[request_id] for request_id in shard))
            for shard in of_shards
        ),
    )


def _shard_count(
    weights: Sequence[float], alone: int, seconds: float, settings: PlannerSettings
) -> int:
    """How many shards for those in company, so that with the lone ones the total is even."""
    if not weights:
        return 0
    odd = alone % 2
    most = min(settings.order_shards_max, len(weights))
    pairs = max(round((sum(weights) / seconds - odd) / 2), 1 - odd)
    return max(min(2 * pairs + odd, most - (most - odd) % 2), 1)
