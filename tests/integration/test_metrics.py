"""What Prometheus gets of the real daemon, with real workers behind it."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from daemon.metrics import Metrics
from neuron_worker.contract import Stage
from tests.jobs import NAMES, samples_of
from tests.media import encoded
from tests.running import Cloud, Daemon, wait_until

RECORDINGS = Path(__file__).parents[1] / "recordings"
PREFIX = "whisper_fleet_"
MIB = 1024**2


@pytest.fixture(scope="module")
def daemon(cloud: Cloud) -> Iterator[Daemon]:
    """It cuts what is longer than two minutes."""
    planner = {"linger_seconds": 0, "range_min_seconds": 60}
    estimator = {"seconds_per_job": 0.5, "seconds_per_audio_second": 0.05}
    with cloud.daemon(planner=planner, estimator=estimator) as daemon:
        yield daemon


def value(daemon: Daemon, name: str, **labels: str) -> float:
    return daemon.metric(f"{PREFIX}{name}", **labels)


def test_what_a_request_took_of_its_worker_and_its_lane_arrives(
    cloud: Cloud, daemon: Daemon
) -> None:
    cloud.put("weather.mp3", (RECORDINGS / "weather.mp3").read_bytes())
    cloud.send({"audio": "s3://recordings/weather.mp3", "request_id": "weather"})
    cloud.send({"audio": "s3://recordings/none.mp3", "request_id": "none"})
    for name in ("weather", "none"):
        cloud.fate(name)
    lane = cloud.parts.compute_environment
    wait_until("the lane's cores are told", lambda: value(daemon, "lane_slots_up", lane=lane) >= 2)
    wait_until("both are counted", lambda: value(daemon, "requests_settled_total") == 2)

    done = {"profile": "tiny.en"}
    assert value(daemon, "worker_tokens_total", **done) >= 50
    assert 1 <= value(daemon, "worker_windows_total", **done) <= 4
    assert value(daemon, "worker_fallbacks_total", **done) == 0
    took = {stage: value(daemon, "worker_stage_seconds_total", stage=stage) for stage in Stage}
    assert min(took[Stage.READ], took[Stage.ENCODE], took[Stage.DECODE]) > 0
    wall_seconds = value(daemon, "worker_seconds_total", **done)
    assert (
        0 < sum(took[stage] for stage in (Stage.ENCODE, Stage.DECODE, Stage.ALIGN)) <= wall_seconds
    )
    assert value(daemon, "worker_peak_memory_bytes_count", **done) == 1
    peak_bytes = value(daemon, "worker_peak_memory_bytes_sum", **done)
    assert 100 * MIB <= peak_bytes <= 8_192 * MIB
    audio_seconds = value(daemon, "audio_seconds_total", **done)
    assert 0 < value(daemon, "speech_seconds_total", **done) <= audio_seconds
    assert value(daemon, "loop_period_seconds", loop="reconcile") > 0
    assert value(daemon, "build_info", version=metadata.version("whisper-fleet")) == 1
    assert value(daemon, "lane_unusable", lane=lane) == 0
    assert value(daemon, "lane_dollars_total", lane=lane) > 0
    wait_until("the letter is counted", lambda: value(daemon, "dead_letters_waiting") == 1)


def test_every_metric_of_the_reference_is_published(daemon: Daemon) -> None:
    told = daemon.get("/metrics")[1]
    types = set(re.findall(r"^# TYPE (\S+) (\S+)$", told, re.MULTILINE))
    assert types >= {(one.name, one.kind) for one in Metrics().definitions}


def test_all_ranges_of_a_recording_are_counted(cloud: Cloud, daemon: Daemon) -> None:
    samples = np.concatenate([samples_of(name) for name in NAMES], axis=1)
    audio = cloud.put("ranges.flac", encoded(samples, "flac", "flac", 16_000))
    seconds = samples.shape[1] / 16_000
    reports = "worker_peak_memory_bytes_count"
    told = (reports, "worker_windows_total", "worker_seconds_total")
    before = {name: value(daemon, name) for name in told}

    cloud.send({"audio": audio, "request_id": "ranges", "duration_seconds": seconds})
    done = cloud.fate("ranges").done
    wait_until("both workers count", lambda: value(daemon, reports) == before[reports] + 2)

    assert done is not None
    assert done.effort is not None
    counted = {name: value(daemon, name) - before[name] for name in told}
    assert counted["worker_windows_total"] > done.effort.windows > 0
    assert counted["worker_seconds_total"] > done.wall_seconds
