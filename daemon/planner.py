"""The planner: which held requests become an order now, and how its shards share the work.

Pure: plain data and the time in, plans out. Requests of a profile are held until one of them has
lingered long enough, or together they fill two shards of the target length; then all of them go.
Work is packed by longest processing time first onto an even number of shards, because a chip has
two cores and pays for both. A request that must run alone gets a shard of its own.
"""

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from daemon.settings import PlannerSettings


@dataclass(frozen=True, slots=True)
class Candidate:
    """A held request as the planner sees it; `estimate_seconds` are core-seconds."""

    request_id: str
    profile: str
    estimate_seconds: float
    held_since: datetime
    not_before: datetime | None = None
    alone: bool = False

    def is_ready(self, now: datetime) -> bool:
        """Whether it need not wait any longer before it is tried again."""
        return self.not_before is None or self.not_before <= now


@dataclass(frozen=True, slots=True)
class Plan:
    """One order to be: request ids by shard."""

    profile: str
    shards: tuple[tuple[str, ...], ...]


def estimate_seconds(
    duration_seconds: float | None, size_bytes: int | None, settings: PlannerSettings
) -> float:
    """Core-seconds that a request will take, from the best hint there is."""
    if duration_seconds is None:
        duration_seconds = (
            settings.assumed_audio_seconds
            if size_bytes is None
            else size_bytes / settings.assumed_bytes_per_second
        )
    return duration_seconds * settings.real_time_factor


def plan(held: Sequence[Candidate], settings: PlannerSettings, now: datetime) -> list[Plan]:
    """The orders to make now. Requests that are in none of them stay held."""
    by_profile: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in held:
        if candidate.is_ready(now):
            by_profile[candidate.profile].append(candidate)
    plans = []
    for profile, ready in by_profile.items():
        if _is_due(ready, settings, now):
            plans += [
                Plan(profile, shards(some, settings))
                for some in _chunks(ready, settings.order_requests_max)
            ]
    return plans


def shards(
    candidates: Sequence[Candidate], settings: PlannerSettings
) -> tuple[tuple[str, ...], ...]:
    """Request ids by shard, longest first in each; an even number of shards where possible.

    Only a single candidate, or lone ones with nobody in company to even them out, leave it odd.
    """
    alone = [candidate for candidate in candidates if candidate.alone]
    company = [candidate for candidate in candidates if not candidate.alone]
    packed = _longest_first(company, _shard_count(company, len(alone), settings))
    singles = [(candidate.request_id,) for candidate in alone]
    return (*packed, *singles)


def _is_due(ready: Sequence[Candidate], settings: PlannerSettings, now: datetime) -> bool:
    lingered = now - min(candidate.held_since for candidate in ready)
    work_seconds = sum(candidate.estimate_seconds for candidate in ready)
    return (
        lingered >= timedelta(seconds=settings.linger_seconds)
        or work_seconds >= 2 * settings.shard_target_seconds
        or len(ready) >= settings.order_requests_max
    )


def _chunks(ready: Sequence[Candidate], size: int) -> list[Sequence[Candidate]]:
    """At most `size` candidates each, and no chunk of one behind a full one."""
    parts = math.ceil(len(ready) / size)
    return [ready[number::parts] for number in range(parts)]


def _shard_count(company: Sequence[Candidate], alone_count: int, settings: PlannerSettings) -> int:
    """How many shards for those in company, so that with the lone ones the total is even."""
    work_seconds = sum(candidate.estimate_seconds for candidate in company)
    wanted = max(2, math.ceil(work_seconds / settings.shard_target_seconds))
    count = min(wanted, settings.order_shards_max, len(company))
    if (count + alone_count) % 2:
        count += 1 if count < min(len(company), settings.order_shards_max) else -1
    return max(count, min(1, len(company)))


def _longest_first(company: Sequence[Candidate], count: int) -> list[tuple[str, ...]]:
    """Longest processing time first: each request to the shard that has the least so far.

    The longest shard ends within 4/3 - 1/(3 x shards) of the best possible (Graham 1969).
    """
    loads = [(0.0, number) for number in range(count)]
    contents: list[list[str]] = [[] for _ in range(count)]
    by_length = sorted(company, key=lambda candidate: -candidate.estimate_seconds)
    for candidate in by_length:
        load, number = heapq.heappop(loads)
        contents[number].append(candidate.request_id)
        # A request never weighs nothing, so every shard gets one before any gets two.
        heapq.heappush(loads, (load + max(candidate.estimate_seconds, 1e-6), number))
    return [tuple(content) for content in contents]
