from datetime import UTC, datetime

from daemon.metrics import Metrics
from neuron_worker.contract import Effort, Outcome, OutcomeKind, Stage

GIB = 1024**3

EFFORT = Effort(
    read_seconds=1.0,
    encode_seconds=2.0,
    decode_seconds=4.0,
    align_seconds=0.5,
    write_seconds=0.25,
    windows=3,
    tokens=90,
    fallbacks=1,
    peak_memory_bytes=GIB,
)


def outcome(effort: Effort | None) -> Outcome:
    return Outcome(
        request_id="r",
        order_id="o",
        shard_index=0,
        kind=OutcomeKind.DONE,
        finished_at=datetime(2026, 11, 27, tzinfo=UTC),
        wall_seconds=8.0,
        effort=effort,
    )


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"whisper_fleet_{name}", {"profile": "p"} | labels)


def test_what_a_worker_took_adds_up_by_profile_and_stage() -> None:
    metrics = Metrics()
    for profile in ("p", "p", "q"):
        metrics.workers.worked(profile, outcome(EFFORT))

    assert value(metrics, "worker_seconds_total") == 16.0
    stages = {stage: value(metrics, "worker_stage_seconds_total", stage=stage) for stage in Stage}
    assert stages == {"read": 2.0, "encode": 4.0, "decode": 8.0, "align": 1.0, "write": 0.5}
    assert value(metrics, "worker_windows_total") == 6
    assert value(metrics, "worker_tokens_total") == 180
    assert value(metrics, "worker_fallbacks_total") == 2
    assert value(metrics, "worker_peak_memory_bytes_count") == 2
    assert value(metrics, "worker_peak_memory_bytes_bucket", le="5.36870912e+08") == 0
    assert value(metrics, "worker_peak_memory_bytes_bucket", le="1.073741824e+09") == 2


def test_a_worker_that_does_not_tell_counts_with_its_time_alone() -> None:
    metrics = Metrics()
    metrics.workers.worked("p", outcome(None))

    assert value(metrics, "worker_seconds_total") == 8.0
    assert value(metrics, "worker_stage_seconds_total", stage="read") is None
    assert metrics.total("worker_peak_memory_bytes_count") == 0
