"""The metrics of what workers took, as their outcomes tell it."""

from daemon.metrics.labels import PROFILE, STAGE
from daemon.metrics.register import EXPERIMENTAL, Register
from neuron_worker.contract import Outcome, Stage

GIB = 1024**3

MEMORY_BUCKETS_BYTES = tuple(gib * GIB for gib in (0.5, 1, 1.5, 2, 3, 4, 5, 6, 6.5, 7, 8, 16))
"""Fine about 6.8 GiB, which a slot of inf2.xlarge has (see `catalogue`)."""


class WorkerMetrics:
    """What finished requests took; of one that is cut, each of its ranges for itself."""

    def __init__(self, register: Register) -> None:
        register.begin("Workers")
        self._seconds = register.counter(
            "worker_seconds",
            "seconds",
            "From a worker's beginning with a finished request, or range, to its outcome. A worker "
            "reads ahead, so that its requests overlap.",
            PROFILE,
        )
        self._stage_seconds = register.counter(
            "worker_stage_seconds",
            "seconds",
            "What each stage of them took; what requests share is split among them.",
            PROFILE,
            STAGE,
            stability=EXPERIMENTAL,
        )
        self._windows = register.counter(
            "worker_windows",
            "windows",
            "Windows of up to 30 s transcribed for them.",
            PROFILE,
            stability=EXPERIMENTAL,
        )
        self._tokens = register.counter(
            "worker_tokens",
            "tokens",
            "Tokens chosen for them, in all tries.",
            PROFILE,
            stability=EXPERIMENTAL,
        )
        self._fallbacks = register.counter(
            "worker_fallbacks",
            "tries",
            "Times that a window was decoded again at a higher temperature.",
            PROFILE,
            stability=EXPERIMENTAL,
        )
        self._peak_memory = register.histogram(
            "worker_peak_memory_bytes",
            "bytes",
            "The most that a worker's process had held by the end of a request or range, its "
            "decoder's process left out.",
            PROFILE,
            buckets=MEMORY_BUCKETS_BYTES,
            stability=EXPERIMENTAL,
        )

    def worked(self, profile: str, outcome: Outcome) -> None:
        """A worker has finished a request or a range."""
        self._seconds.labels(profile).inc(outcome.wall_seconds)
        effort = outcome.effort
        if effort is None:
            # Its worker is of a version that does not tell.
            return
        for stage in Stage:
            self._stage_seconds.labels(profile, stage).inc(effort.seconds_in(stage))
        self._windows.labels(profile).inc(effort.windows)
        self._tokens.labels(profile).inc(effort.tokens)
        self._fallbacks.labels(profile).inc(effort.fallbacks)
        self._peak_memory.labels(profile).observe(effort.peak_memory_bytes)
