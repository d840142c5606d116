"""Every metric there is, with its labels: the daemon's, those of other programs, recorded ones."""

from collections.abc import Mapping
from contextlib import suppress

from prometheus_client.metrics import MetricWrapperBase

from daemon.metrics import Metrics
from tests.ops.promql import Labels, WrongExpression, labels_of, parse
from tests.ops.shipped import Alert, rules

SCRAPED = frozenset({"job", "instance"})
"""What Prometheus adds to whatever it scrapes."""

DISCOVERED = frozenset({"instance_id", "instance_type", "lane"})
"""What relabelling adds to the targets of the job neuron-monitor."""

_OF_INSTANCE = frozenset({"instance_name", "availability_zone", "region", "subnet_id"})
_OF_RUNTIME = _OF_INSTANCE | {"runtime_tag"}
_OF_CORE = _OF_RUNTIME | {"neuroncore"}

NEURON_MONITOR: Mapping[str, Labels] = {
    "neuroncore_utilization_ratio": _OF_CORE,
    "neuroncore_memory_usage_constants": _OF_CORE | {"memory_location"},
    "neuroncore_memory_usage_model_code": _OF_CORE | {"memory_location"},
    "neuroncore_memory_usage_model_shared_scratchpad": _OF_CORE | {"memory_location"},
    "neuroncore_memory_usage_runtime_memory": _OF_CORE | {"memory_location"},
    "neuroncore_memory_usage_tensors": _OF_CORE | {"memory_location"},
    "neuron_runtime_memory_used_bytes": _OF_RUNTIME | {"memory_location"},
    "neuron_runtime_vcpu_usage_ratio": _OF_RUNTIME | {"usage_type"},
    "execution_errors_total": _OF_RUNTIME | {"error_type"},
    "execution_status_total": _OF_RUNTIME | {"status_type"},
    "execution_latency_seconds": _OF_RUNTIME | {"percentile"},
    "hardware_ecc_events_total": _OF_INSTANCE | {"event_type", "neuron_device_index"},
    "system_memory_total_bytes": _OF_INSTANCE,
    "system_memory_used_bytes": _OF_INSTANCE,
    "system_vcpu_count": _OF_INSTANCE,
    "system_vcpu_usage_ratio": _OF_INSTANCE | {"usage_type"},
}
"""What neuron-monitor-prometheus.py of the Neuron tools 2.31 exports, as far as it is of use here.
The instance's id and type, which it says too, are dropped for those discovered.

Source: the script itself, as installed to /opt/aws/neuron/bin; the sample of its output in the
tests of the OpenTelemetry collector's awscontainerinsightreceiver has the same names. UNVERIFIED on
an instance.
"""


SERIES = {"gauge": ("",), "counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
"""What a metric's name ends with as a series, by its type."""


def of_the_daemon() -> dict[str, Labels]:
    """The series of the daemon's registry by name, whether or not there are any yet."""
    known: dict[str, Labels] = {}
    for metric in Metrics().registry._collector_to_names:
        assert isinstance(metric, MetricWrapperBase)
        assert metric._type is not None
        for suffix in SERIES[metric._type]:
            bucket = {"le"} if suffix == "_bucket" else set()
            known[metric._name + suffix] = SCRAPED | bucket | set(metric._labelnames)
    return known


def all_metrics() -> dict[str, Labels]:
    """Everything that a rule or a dashboard may ask for; what a rule that is wrong makes is not."""
    known = of_the_daemon()
    known |= {name: SCRAPED | DISCOVERED | labels for name, labels in NEURON_MONITOR.items()}
    known["up"] = SCRAPED | DISCOVERED
    alerts = frozenset({"alertname", "alertstate", "severity"})
    for rule in rules():
        with suppress(WrongExpression):
            labels = labels_of(parse(rule.expression), known) or frozenset()
            if isinstance(rule, Alert):
                alerts |= labels
            else:
                known[rule.name] = labels
    known["ALERTS"] = alerts
    return known
