"""The metrics of calls to AWS."""

from daemon.metrics.labels import OPERATION, SERVICE
from daemon.metrics.register import Register

CALL_BUCKETS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""A long poll takes up to 20 seconds."""


class AwsMetrics:
    """The calls to AWS: an `Observer` for who makes them."""

    def __init__(self, register: Register) -> None:
        register.begin("Calls to AWS")
        labels = (SERVICE, OPERATION)
        self._calls = register.counter(
            "aws_calls", "calls", "Calls made to AWS, again or not.", *labels
        )
        self._throttles = register.counter(
            "aws_throttles", "calls", "Calls that AWS answered with a wish for fewer.", *labels
        )
        self._retries = register.counter(
            "aws_retries", "calls", "Failed calls that are made again.", *labels
        )
        self._seconds = register.histogram(
            "aws_call_seconds",
            "seconds",
            "From a call to its answer, or to none.",
            *labels,
            buckets=CALL_BUCKETS_SECONDS,
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
