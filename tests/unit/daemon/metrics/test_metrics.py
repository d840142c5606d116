from importlib import metadata

from daemon.metrics import Metrics


def test_a_daemon_tells_its_version() -> None:
    version = metadata.version("whisper-fleet")
    found = Metrics().registry.get_sample_value("whisper_fleet_build_info", {"version": version})
    assert found == 1


def test_a_total_is_the_sum_over_all_labels() -> None:
    metrics = Metrics()
    metrics.requests.rejected.labels("not_json").inc(2)
    metrics.requests.rejected.labels("too_large").inc()
    assert metrics.total("messages_rejected_total") == 3


def test_each_daemon_counts_for_itself() -> None:
    one, other = Metrics(), Metrics()
    one.requests.received.inc()
    assert other.total("messages_received_total") == 0
