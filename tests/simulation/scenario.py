"""What a seed means: the requests, and everything that goes wrong."""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from daemon.embedded.batch.pace import Pace
from daemon.embedded.sqs.mishaps import Mishaps
from daemon.settings import Settings
from daemon.simulation.weather import Forecast, Spell, Weather
from daemon.simulation.workers import Nature, Recording

PROFILE = "tiny.en"
LANE = "lane"
REQUESTS = 2_000
ARRIVAL_SECONDS = 3_600.0
LONG_SECONDS = 30.0
"""Recordings that take so long come with their length, and may be cut into ranges."""
SECONDS_PER_AUDIO_SECOND = 0.1
TROUBLE_SECONDS = 2 * 3_600.0
"""Afterwards all is well, so that everything can come to its end."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of a producer; the request id is None where the body is no request."""

    at_seconds: float
    body: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Life:
    """How one daemon process lives: until when, and how it ends."""

    seconds: float
    die_at_call: int | None
    graceful: bool
    pause_seconds: float


@dataclass(frozen=True, slots=True)
class Scenario:
    """One seed's world."""

    seed: int
    settings: Settings
    sent: tuple[Sent, ...]
    recordings: dict[str, Recording]
    forecast: Forecast
    mishaps: Mishaps
    spot_losses: tuple[float, ...]
    image_missing: tuple[tuple[float, float], ...]
    droughts: tuple[tuple[float, float], ...]
    invalid: tuple[tuple[float, float], ...]
    clock_jumps: tuple[tuple[float, float], ...]
    events_lost: float | None
    pace: Pace
    lives: tuple[tuple[float, tuple[Life, ...]], ...] = field(default_factory=tuple)
    """Of each daemon that runs for a while: from when, and its lives one after the other."""

    @property
    def trouble_ends_at(self) -> float:
        """When the last message is sent and the last fault is over, in seconds."""
        spans = (*self.image_missing, *self.droughts, *self.invalid)
        return max(
            TROUBLE_SECONDS,
            *(one.at_seconds for one in self.sent),
            *(end_seconds for _, end_seconds in spans),
            *(spell.end_seconds for spell in self.forecast.spells),
        )


def draw(seed: int, requests: int = REQUESTS) -> Scenario:
    """The scenario of a seed."""
    source = random.Random(seed)
    sent, recordings = _requests(source, requests)
    settings = _settings(source)
    return Scenario(
        seed=seed,
        settings=settings,
        sent=tuple(sorted(sent, key=lambda one: one.at_seconds)),
        recordings=recordings,
        forecast=_forecast(source),
        mishaps=Mishaps(
            delivered_twice=source.choice([0, 0.002, 0.02]),
            deleted_in_vain=source.choice([0, 0.002, 0.02]),
            out_of_order=source.choice([0, 0.1, 0.5]),
        ),
        spot_losses=tuple(_spot_losses(source)),
        image_missing=tuple(_spans(source, most=1, longest=2_400)),
        droughts=tuple(_droughts(source)),
        invalid=tuple(_spans(source, most=1, longest=2_400)),
        events_lost=source.choice([0.0, 0.1, 1.0]) if settings.queues.events else None,
        pace=Pace(
            evaluate_seconds=2.0,
            boot_seconds=source.choice([30.0, 90.0, 300.0]),
            idle_seconds=120.0,
            retention_seconds=source.choice([7 * 86_400.0, 7 * 86_400.0, 1_200.0]),
            visible_after_seconds=source.choice([0.0, 2.0, 30.0]),
        ),
        clock_jumps=tuple(
            (source.uniform(0, TROUBLE_SECONDS), source.uniform(-60, 900))
            for _ in range(source.choice([0, 0, 1, 3]))
        ),
        lives=tuple(_lives(source)),
    )


def calm() -> Scenario:
    """A world where nothing goes wrong and nobody asks for anything."""
    return Scenario(
        seed=0,
        settings=_settings(random.Random(0)),
        sent=(),
        recordings={},
        forecast=Forecast(),
        mishaps=Mishaps(),
        spot_losses=(),
        image_missing=(),
        droughts=(),
        invalid=(),
        clock_jumps=(),
        events_lost=None,
        pace=Pace(evaluate_seconds=2.0, boot_seconds=30.0, idle_seconds=120.0),
    )


def _requests(source: random.Random, count: int) -> tuple[list[Sent], dict[str, Recording]]:
    sent: list[Sent] = []
    recordings: dict[str, Recording] = {}
    bursts = [source.uniform(0, ARRIVAL_SECONDS) for _ in range(source.randint(1, 6))]
    for number in range(count):
        steady = source.random() < 0.3
        at = source.uniform(0, ARRIVAL_SECONDS) if steady else source.choice(bursts)
        if source.random() < 0.005:
            sent.append(Sent(at, f"nonsense {number}", None))
            continue
        request_id = f"r{number:04d}"
        audio = f"s3://recordings/{request_id}.wav"
        recording = recordings[audio] = _recording(source)
        message: dict[str, object] = {"audio": audio, "request_id": request_id}
        if recording.seconds >= LONG_SECONDS:
            message["duration_seconds"] = recording.seconds / SECONDS_PER_AUDIO_SECOND
        body = json.dumps(message)
        sent.append(Sent(at, body, request_id))
        if source.random() < 0.02:
            sent.append(Sent(at + source.uniform(0, 3_600), body, request_id))
    return sent, recordings


def _recording(source: random.Random) -> Recording:
    seconds = min(600.0, source.lognormvariate(2.0, 1.0))
    roll = source.random()
    if roll < 0.01:
        return Recording(seconds, Nature.POISON)
    if roll < 0.025:
        return Recording(seconds, Nature.BAD)
    if roll < 0.045:
        return Recording(seconds, Nature.FLAKY, failures=source.randint(1, 2))
    return Recording(seconds)


def _settings(source: random.Random) -> Settings:
    return Settings.model_validate(
        {
            "default_profile": PROFILE,
            "grace_seconds": 300,
            "queues": {
                "requests": "https://sqs/requests",
                "dead_letters": "https://sqs/dead-letters",
                "events": source.choice([None, "https://sqs/events"]),
            },
            "locations": {"ledger": "s3://ledger/", "output": "s3://transcripts/"},
            "lanes": [
                {
                    "name": LANE,
                    "profile": PROFILE,
                    "instance_type": "inf2.xlarge",
                    "job_queue": LANE,
                    "job_definition": LANE,
                    "compute_environment": LANE,
                    "max_vcpus": 40,
                }
            ],
            "intake": {
                "visibility_seconds": source.choice([60, 120, 600]),
                "outstanding_max": source.choice([300, 1_000, 5_000]),
            },
            "planner": {
                "linger_seconds": source.choice([5, 20, 60]),
                "shard_min_seconds": source.choice([60, 120]),
                "shard_max_seconds": source.choice([180, 600, 1_800]),
                "range_min_seconds": 60,
                "order_requests_max": source.choice([20, 100, 500]),
            },
            "estimator": {
                "seconds_per_audio_second": SECONDS_PER_AUDIO_SECOND,
                "audio_seconds": 120,
            },
            "retries": {"backoff_seconds": 15, "infrastructure_attempts_max": 20},
            "reconcile": {"period_seconds": 15},
        }
    )


def _forecast(source: random.Random) -> Forecast:
    usual = Weather(unheard=0.001, unanswered=0.001, entries_failed=0.002)
    kinds = [
        ("s3", Weather(slowest_seconds=20.0)),
        ("s3", Weather(unheard=0.3, unanswered=0.1)),
        ("s3", Weather(unheard=1.0)),
        ("sqs", Weather(throttled=0.3, entries_failed=0.2, unanswered=0.1)),
        ("sqs", Weather(unheard=1.0)),
        ("batch", Weather(throttled=0.9)),
        ("batch", Weather(unanswered=0.4, slowest_seconds=5.0)),
        ("batch", Weather(unheard=1.0)),
    ]
    spells = []
    for _ in range(source.randint(0, 6)):
        service, weather = source.choice(kinds)
        start = source.uniform(0, TROUBLE_SECONDS)
        spells.append(Spell(service, start, start + source.uniform(30, 900), weather))
    return Forecast(usual, tuple(spells))


def _spot_losses(source: random.Random) -> Iterator[float]:
    """When instances are taken away: now and then, and many at once in a storm."""
    mean_seconds = source.choice([600.0, 1_800.0, 7_200.0])
    at = source.expovariate(1 / mean_seconds)
    while at < TROUBLE_SECONDS:
        yield at
        at += source.expovariate(1 / mean_seconds)
    for start, end in _spans(source, most=2, longest=600):
        at = start
        while at < end:
            yield at
            at += source.expovariate(1 / 20)


def _droughts(source: random.Random) -> Iterator[tuple[float, float]]:
    """When EC2 has no instances: sometimes for so long that messages outlive their visibility."""
    yield from _spans(source, most=1, longest=3_600)
    if source.random() < 0.03:
        start = source.uniform(0, ARRIVAL_SECONDS)
        yield start, start + 13.5 * 3_600


def _spans(source: random.Random, most: int, longest: float) -> Iterator[tuple[float, float]]:
    for _ in range(source.randint(0, most)):
        start = source.uniform(0, TROUBLE_SECONDS)
        yield start, start + source.uniform(30, longest)


def _lives(source: random.Random) -> Iterator[tuple[float, tuple[Life, ...]]]:
    """One daemon from the start on; often a second one beside it for a while."""
    yield 0.0, tuple(_life(source) for _ in range(source.randint(1, 12)))
    if source.random() < 0.5:
        start = source.uniform(0, TROUBLE_SECONDS)
        yield start, tuple(_life(source) for _ in range(source.randint(1, 4)))


def _life(source: random.Random) -> Life:
    return Life(
        seconds=source.expovariate(1 / 900),
        die_at_call=source.choice([None, source.randint(1, 40), source.randint(1, 2_000)]),
        graceful=source.random() < 0.3,
        pause_seconds=source.choice([1.0, 10.0, 60.0, 300.0]),
    )
