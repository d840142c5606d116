"""What a scenario means for a seed: every request's arrival, length and nature, in columns.

A million requests take some tens of megabytes; a message's body is made when it is asked for.
Invariant: arrivals are in order of time, and the same scenario, number and seed give the same ones.
"""

import json
import random
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from daemon.simulation.parameters import SECONDS_PER_HOUR, Parameters
from daemon.simulation.scenario import Arrivals, Recordings, Scenario
from daemon.simulation.workers import Nature

NATURES = (Nature.GOOD, Nature.BAD, Nature.POISON)

BUCKET = "recordings"

POISON_SHARE_OF_WORK = 0.5
"""How far a worker gets with a recording that kills it."""


@dataclass(frozen=True, slots=True)
class Workload:
    """Columns by request; times in seconds since the simulation began.

    `kinds` are positions in the scenario's recordings, `natures` in `NATURES`; `core_seconds` is
    what one try takes, on one core, without any start-up.
    """

    scenario: Scenario
    at_seconds: "array[float]"
    audio_seconds: "array[float]"
    core_seconds: "array[float]"
    kinds: "array[int]"
    natures: "array[int]"

    def __len__(self) -> int:
        return len(self.at_seconds)

    def nature(self, index: int) -> Nature:
        """What a request's recording does to its worker."""
        return NATURES[self.natures[index]]

    def body(self, index: int) -> str:
        """The message of a producer."""
        kind = self.scenario.recordings[self.kinds[index]]
        body: dict[str, object] = {
            "audio": f"s3://{BUCKET}/{index:08d}.{kind.container}",
            "request_id": request_id(index),
        }
        seconds = self.audio_seconds[index]
        if self.scenario.hint == "duration":
            body["duration_seconds"] = round(seconds, 3)
        elif self.scenario.hint == "size":
            body["size_bytes"] = round(seconds * kind.bytes_per_second)
        return json.dumps(body)

    def arrived_by(self, seconds: float) -> int:
        """How many requests have arrived by then."""
        return bisect_right(self.at_seconds, seconds)

    @property
    def useful_audio_seconds(self) -> float:
        """Of all recordings that can be transcribed."""
        return sum(self.audio_seconds[index] for index in range(len(self)) if self.is_good(index))

    def is_good(self, index: int) -> bool:
        """Whether there is a transcript to be had."""
        return self.nature(index) is Nature.GOOD


def request_id(index: int) -> str:
    """A request's id."""
    return f"r{index:08d}"


def index_of(known_as: str) -> int:
    """The request that an id belongs to."""
    return int(known_as[1:])


def draw(scenario: Scenario, parameters: Parameters, requests: int, seed: int) -> Workload:
    """The workload of a seed."""
    times = array("d", arrivals(scenario, requests, random.Random(f"{seed} arrivals")))
    source = random.Random(f"{seed} recordings")
    shares = list(accumulate(kind.share for kind in scenario.recordings))
    pace = parameters.profile(scenario.profile)
    rate = pace.core_seconds_per_audio_hour / SECONDS_PER_HOUR
    audio, core, kinds, natures = array("d"), array("d"), array("B"), array("B")
    for _ in range(requests):
        kind = min(bisect_right(shares, source.random()), len(shares) - 1)
        seconds = length_seconds(scenario.recordings[kind], source)
        nature = _nature(scenario, source)
        kinds.append(kind)
        audio.append(seconds)
        natures.append(NATURES.index(nature))
        core.append(parameters.file_seconds + _share_of_work(nature) * rate * seconds)
    return Workload(scenario, times, audio, core, kinds, natures)


def arrivals(scenario: Scenario, requests: int, source: random.Random) -> Iterator[float]:
    """The times of all arrivals, in order."""
    process = scenario.arrivals
    if process.process == "at_once":
        return (process.seconds * number / requests for number in range(requests))
    if process.process == "steady":
        rate = scenario.requests / process.seconds
        return accumulate(source.expovariate(rate) for _ in range(requests))
    return _daily(process, requests, source)


def _daily(process: Arrivals, requests: int, source: random.Random) -> Iterator[float]:
    """Chance in order: the gaps between sorted uniform numbers are exponential ones, scaled."""
    gaps = array("d", (source.expovariate(1.0) for _ in range(requests)))
    whole = sum(gaps) + source.expovariate(1.0)
    bounds = [0.0, *accumulate(process.hourly_weights)]
    hour_seconds = process.seconds / len(process.hourly_weights)
    for position in accumulate(gaps):
        weight = min(position / whole, 1 - 1e-12) * bounds[-1]
        hour = bisect_right(bounds, weight) - 1
        within = (weight - bounds[hour]) / process.hourly_weights[hour]
        yield (hour + within) * hour_seconds


def length_seconds(kind: Recordings, source: random.Random) -> float:
    """A length of that kind."""
    while True:
        seconds = kind.median_seconds * source.lognormvariate(0.0, kind.spread)
        if kind.least_seconds <= seconds <= kind.most_seconds:
            return seconds


def _nature(scenario: Scenario, source: random.Random) -> Nature:
    roll = source.random()
    if roll < scenario.natures.poison:
        return Nature.POISON
    if roll < scenario.natures.poison + scenario.natures.bad:
        return Nature.BAD
    return Nature.GOOD


def _share_of_work(nature: Nature) -> float:
    return {Nature.GOOD: 1.0, Nature.BAD: 0.0, Nature.POISON: POISON_SHARE_OF_WORK}[nature]
