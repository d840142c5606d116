"""What the seeds have found, each as small as it can be."""

import json
from dataclasses import replace

from daemon.simulation.weather import Forecast, Spell, Weather
from daemon.simulation.workers import Nature, Recording
from tests.simulation.play import play
from tests.simulation.scenario import Life, Scenario, Sent, calm


def request(name: str, at_seconds: float = 0.0) -> Sent:
    body = json.dumps({"audio": f"s3://recordings/{name}.wav", "request_id": name})
    return Sent(at_seconds, body, name)


def of(*names: str, nature: Nature = Nature.GOOD, failures: int = 0) -> Scenario:
    """A calm world with these requests."""
    recordings = {
        f"s3://recordings/{name}.wav": Recording(10.0, nature, failures) for name in names
    }
    return replace(calm(), sent=tuple(request(name) for name in names), recordings=recordings)


def weather(service: str, start_seconds: float, end_seconds: float, bad: Weather) -> Forecast:
    return Forecast(spells=(Spell(service, start_seconds, end_seconds, bad),))


def test_a_daemon_that_starts_while_s3_is_out_of_reach_waits_for_it() -> None:
    outage = weather("s3", 0, 200, Weather(unheard=1.0))

    assert play(replace(of("r0001"), forecast=outage)).problems == []


def test_a_slow_store_is_no_stall() -> None:
    names = [f"r{number:04d}" for number in range(300)]
    slow = weather("s3", 0, 6_000, Weather(slowest_seconds=20.0))
    scenario = of(*names, nature=Nature.FLAKY, failures=1)

    assert play(replace(scenario, forecast=slow)).problems == []


def test_a_second_copy_joins_a_request_that_was_resumed_after_failures() -> None:
    scenario = of("r0001", nature=Nature.FLAKY, failures=2)
    sent = (request("r0001"), request("r0001", 0.1))
    # Each daemon dies with the request held after another failure.
    lives = tuple(Life(160.0, None, False, 1.0) for _ in range(8))

    assert play(replace(scenario, sent=sent, lives=((0.0, lives),))).problems == []
