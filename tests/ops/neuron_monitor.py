"""What neuron-monitor's exporter would say on an instance one of whose two cores computes."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, product
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from tests.ops.metric_labels import DISCOVERED, NEURON_MONITOR

VALUES = {
    "instance_name": ("",),
    "instance_id": ("i-as-it-says",),
    "instance_type": ("as-it-says",),
    "availability_zone": ("us-east-1a",),
    "region": ("us-east-1",),
    "subnet_id": ("subnet-1",),
    "runtime_tag": ("77",),
    "neuroncore": ("0",),
    "memory_location": ("host", "neuron_device"),
    "usage_type": ("user", "system"),
    "error_type": ("hardware", "runtime"),
    "status_type": ("completed", "timed_out"),
    "percentile": ("p50", "p99"),
    "event_type": ("mem_ecc_corrected", "mem_ecc_uncorrected"),
    "neuron_device_index": ("0",),
}


@contextmanager
def exporter() -> Iterator[int]:
    """All its metrics, their values moving, on a port of its own while the block runs."""
    registry = CollectorRegistry()
    for name, labels in NEURON_MONITOR.items():
        _export(name, sorted(labels | DISCOVERED - {"lane"}), registry)
    server, thread = start_http_server(0, addr="127.0.0.1", registry=registry)
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _export(name: str, labels: list[str], registry: CollectorRegistry) -> None:
    metric: Any = (Counter if name.endswith("_total") else Gauge)(
        name, name, labels, registry=registry
    )
    moving = count(500)
    for values in product(*(VALUES[label] for label in labels)):
        series = metric.labels(*values)
        if isinstance(metric, Gauge):
            series.set_function(lambda: next(moving) / 1000)
