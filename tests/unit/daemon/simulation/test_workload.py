import json
from statistics import median
from typing import Any

import pytest

from daemon.request import parse
from daemon.simulation import scenario
from daemon.simulation.workers import Nature
from daemon.simulation.workload import Workload, draw
from tests import fleets

DAY = {"process": "daily", "seconds": 86_400, "hourly_weights": [0.0] * 8 + [1.0, 3.0] + [0.0] * 14}


def drawn(requests: int = 1_000, seed: int = 1, **changes: object) -> Workload:
    return draw(fleets.scenario(**changes), fleets.parameters(), requests, seed)


@pytest.mark.parametrize("arrivals", [{"process": "steady", "seconds": 1_000}, DAY])
def test_the_same_seed_draws_the_same(arrivals: dict[str, object]) -> None:
    natures = {"bad": 0.1, "poison": 0.1}
    kind = {"share": 1, "container": "mp3", "bytes_per_second": 10, "median_seconds": 60,
            "spread": 0.8}  # fmt: skip
    changes: dict[str, Any] = {"natures": natures, "arrivals": arrivals, "recordings": [kind]}
    first, again, other = drawn(**changes), drawn(**changes), drawn(seed=2, **changes)

    assert first == again
    assert first.at_seconds != other.at_seconds
    assert first.audio_seconds != other.audio_seconds
    assert first.natures != other.natures


def test_a_dump_is_spread_evenly_over_its_time() -> None:
    times = drawn(requests=5).at_seconds

    assert list(times) == [0, 2, 4, 6, 8]


def test_a_trickle_keeps_its_rate_when_there_is_less_of_it() -> None:
    arrivals = {"process": "steady", "seconds": 100_000}
    trickle = fleets.scenario(arrivals=arrivals, requests=1_000)
    times = draw(trickle, fleets.parameters(), 500, 1).at_seconds

    assert list(times) == sorted(times)
    assert times[-1] == pytest.approx(50_000, rel=0.15)


def test_a_day_follows_its_weights_in_order() -> None:
    times = drawn(requests=4_000, arrivals=DAY).at_seconds

    assert list(times) == sorted(times)
    assert all(8 * 3_600 <= at <= 10 * 3_600 for at in times)
    assert sum(at < 9 * 3_600 for at in times) == pytest.approx(1_000, rel=0.1)


def test_lengths_stay_in_their_bounds_about_their_median() -> None:
    kind = {"share": 1, "container": "mp3", "bytes_per_second": 10, "median_seconds": 60,
            "spread": 0.8, "least_seconds": 20, "most_seconds": 200}  # fmt: skip
    seconds = drawn(recordings=[kind]).audio_seconds

    assert min(seconds) >= 20
    assert max(seconds) <= 200
    assert 50 < median(seconds) < 70


def test_natures_have_their_shares_and_their_work() -> None:
    work = drawn(requests=5_000, natures={"bad": 0.1, "poison": 0.05})
    natures = [work.nature(index) for index in range(len(work))]

    assert natures.count(Nature.BAD) == pytest.approx(500, rel=0.15)
    assert natures.count(Nature.POISON) == pytest.approx(250, rel=0.2)
    for index in range(len(work)):
        share = {Nature.GOOD: 1.0, Nature.BAD: 0.0, Nature.POISON: 0.5}[natures[index]]
        assert work.core_seconds[index] == pytest.approx(share * work.audio_seconds[index])


@pytest.mark.parametrize(
    ("hint", "keys"),
    [("duration", {"duration_seconds"}), ("size", {"size_bytes"}), ("none", set())],
)
def test_a_message_is_a_request_with_the_hint(hint: str, keys: set[str]) -> None:
    body = drawn(requests=3, hint=hint).body(2)

    [request] = parse(body)
    assert request.request_id == "r00000002"
    assert json.loads(body).keys() - {"audio", "request_id"} == keys


def test_each_kind_of_recording_has_its_share() -> None:
    work = draw(scenario.load("archive-dump"), fleets.parameters(), 5_000, 3)

    assert [work.kinds.count(kind) / 5_000 for kind in range(3)] == pytest.approx(
        [0.6, 0.3, 0.1], abs=0.03
    )


def test_a_request_costs_less_than_fifty_bytes_until_it_is_sent() -> None:
    work = drawn(requests=10_000)
    columns = (work.at_seconds, work.audio_seconds, work.core_seconds, work.kinds, work.natures)

    assert sum(len(column) * column.itemsize for column in columns) < 50 * 10_000
