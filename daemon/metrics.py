"""The daemon's Prometheus metrics: one prefix, base units, no ids in labels."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

PREFIX = "whisper_fleet"

TURNAROUND_BUCKETS_SECONDS = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200)

CALL_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""A long poll takes up to 20 seconds."""


RATIO_BUCKETS = (0.25, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)


class AwsMetrics:
    """The calls to AWS: an `Observer` for who makes them."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("service", "operation")
        self._calls = Counter(
            f"{PREFIX}_aws_calls", "Calls made to AWS, again or not.", labels, registry=registry
        )
        self._throttles = Counter(
            f"{PREFIX}_aws_throttles",
            "Calls that AWS answered with a wish for fewer.",
            labels,
            registry=registry,
        )
        self._retries = Counter(
            f"{PREFIX}_aws_retries", "Failed calls that are made again.", labels, registry=registry
        )
        self._seconds = Histogram(
            f"{PREFIX}_aws_call_seconds",
            "From a call to its answer, or to none.",
            labels,
            buckets=CALL_BUCKETS_SECONDS,
            registry=registry,
        )

    def called(self, service: str, operation: str, seconds: float) -> None:
        """A call was made and took so long."""
        self._calls.labels(service, operation).inc()
        self._seconds.labels(service, operation).observe(seconds)

    def throttled(self, service: str, operation: str) -> None:
        """The service asked for fewer calls."""
        self._throttles.labels(service, operation).inc()

    def retried(self, service: str, operation: str) -> None:
        """A call that failed is made again."""
        self._retries.labels(service, operation).inc()


class Metrics:
    """All metrics of one daemon, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.received = self._counter("messages_received", "Messages taken from the request queue.")
        self.rejected = self._counter(
            "messages_rejected", "Messages that could never become a request.", "reason"
        )
        self.duplicates = self._counter(
            "messages_duplicate", "Second copies of a request that is known already.", "known_as"
        )
        self.undecided = self._counter(
            "messages_undecided", "Messages given back because AWS could not be reached."
        )
        self.unreadable = self._counter(
            "ledger_unreadable", "Times that a document of the ledger could not be read.", "kind"
        )
        self.held = self._gauge("requests_held", "Requests waiting for an order.")
        self.in_flight = self._gauge("requests_in_flight", "Requests in an order under way.")
        self.settled = self._counter(
            "requests_settled", "Requests that found their end.", "profile", "fate", "reason"
        )
        self.retried = self._counter(
            "requests_retried", "Tries that failed and are made again.", "profile", "reason"
        )
        self.orders = self._counter("orders_submitted", "Orders accepted by Batch.", "lane")
        self.shards = self._counter("shards_submitted", "Single-core jobs in them.", "lane")
        self.orders_open = self._gauge("orders_open", "Orders with requests yet to settle.")
        self.audio_seconds = self._counter("audio_seconds", "Audio transcribed.", "profile")
        self.worker_seconds = self._counter(
            "worker_seconds", "Core time that finished requests took.", "profile"
        )
        self.turnaround_seconds = Histogram(
            f"{PREFIX}_turnaround_seconds",
            "From taking a message to its transcript.",
            ["profile"],
            buckets=TURNAROUND_BUCKETS_SECONDS,
            registry=self.registry,
        )
        self.queue_visible = self._gauge("queue_messages_visible", "Messages nobody has taken.")
        self.queue_in_flight = self._gauge("queue_messages_in_flight", "Messages that are taken.")
        self.heartbeat_failures = self._counter(
            "heartbeat_failures", "Messages whose visibility could not be extended."
        )
        self.lane_shut = self._gauge(
            "lane_shut", "1 while nothing but probes is ordered from a lane that fails.", "lane"
        )
        self.ceiling_vcpus = self._gauge(
            "lane_ceiling_vcpus", "vCPUs that a lane may have, by settings and budget.", "lane"
        )
        self.bounds_refused = self._counter(
            "lane_bounds_refused", "Times that a lane's floor and ceiling were not taken.", "lane"
        )
        self.fleet_dollars_per_hour = self._gauge(
            "fleet_dollars_per_hour", "What all instances cost that run or boot."
        )
        self.dollars_today = self._gauge(
            "fleet_dollars_today", "What the fleet cost since midnight UTC, if there is a budget."
        )
        self.floor_vcpus = self._gauge("lane_floor_vcpus", "vCPUs that a lane keeps up.", "lane")
        self.loop_failures = self._counter(
            "loop_failures", "Rounds of a loop that ended in an error and are made again.", "loop"
        )
        self.estimate_ratio = Histogram(
            f"{PREFIX}_shard_estimate_ratio",
            "What a shard took, as a multiple of what was expected.",
            ["lane"],
            buckets=RATIO_BUCKETS,
            registry=self.registry,
        )
        self.job_cost = self._gauge(
            "lane_job_seconds", "What a job takes before its first request, as learned.", "lane"
        )
        self.request_cost = self._gauge(
            "lane_request_seconds", "What a request takes besides its audio, as learned.", "lane"
        )
        self.audio_cost = self._gauge(
            "lane_seconds_per_audio_second", "What a second of audio takes, as learned.", "lane"
        )
        self.events = self._counter(
            "events_received", "Events taken from the events queue.", "source"
        )
        self.aws = AwsMetrics(self.registry)
        self.loop_beat = self._gauge(
            "loop_last_round_timestamp_seconds", "When a loop last finished a round.", "loop"
        )

    def total(self, name: str) -> float:
        """A metric's sum over all its labels, by its name without prefix."""
        return sum(
            sample.value
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == f"{PREFIX}_{name}"
        )

    def _counter(self, name: str, words: str, *labels: str) -> Counter:
        return Counter(f"{PREFIX}_{name}", words, labels, registry=self.registry)

    def _gauge(self, name: str, words: str, *labels: str) -> Gauge:
        return Gauge(f"{PREFIX}_{name}", words, labels, registry=self.registry)
