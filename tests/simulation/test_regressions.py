"""What the seeds have found, each as small as it can be."""

import json
from dataclasses import replace

from daemon.simulation.weather import Forecast, Spell, Weather
from daemon.simulation.workers import Recording
from tests.simulation.play import play
from tests.simulation.scenario import Scenario, Sent, calm


def request(name: str, at_seconds: float = 0.0) -> Sent:
    body = json.dumps({"audio": f"s3://recordings/{name}.wav", "request_id": name})
    return Sent(at_seconds, body, name)


def of(*names: str) -> Scenario:
    """A calm world with these requests."""
    recordings = {f"s3://recordings/{name}.wav": Recording(10.0) for name in names}
    return replace(calm(), sent=tuple(request(name) for name in names), recordings=recordings)


def weather(service: str, start_seconds: float, end_seconds: float, bad: Weather) -> Forecast:
    return Forecast(spells=(Spell(service, start_seconds, end_seconds, bad),))


def test_a_daemon_that_starts_while_s3_is_out_of_reach_waits_for_it() -> None:
    outage = weather("s3", 0, 200, Weather(unheard=1.0))

    assert play(replace(of("r0001"), forecast=outage)).problems == []


def test_a_slow_store_is_no_stall() -> None:
    # All shards end before they begin, so one round has much to write down.
    slow = weather("s3", 35, 9_000, Weather(slowest_seconds=20.0))
    scenario = replace(of(*names(300)), forecast=slow, image_missing=((0.0, 600.0),))

    assert play(scenario).problems == []


def names(count: int) -> list[str]:
    return [f"r{number:04d}" for number in range(count)]
