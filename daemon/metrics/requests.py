"""The metrics of messages and of the requests in them, from the queue to their end."""

from daemon.metrics.labels import (
    END_REASON,
    EVENT_SOURCE,
    FATE,
    KIND,
    KNOWN_AS,
    PROFILE,
    REJECT_REASON,
    RETRY_REASON,
)
from daemon.metrics.register import Register

TURNAROUND_BUCKETS_SECONDS = (10, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 43200)


class RequestMetrics:
    """Messages and requests."""

    def __init__(self, register: Register) -> None:
        self._define_messages(register)
        self._define_requests(register)

    def _define_messages(self, register: Register) -> None:
        register.begin("Messages")
        self.queue_visible = register.gauge(
            "queue_messages_visible", "messages", "Messages that nobody has taken."
        )
        self.queue_in_flight = register.gauge(
            "queue_messages_in_flight", "messages", "Messages that are taken."
        )
        self.letters_waiting = register.gauge(
            "dead_letters_waiting", "messages", "Letters in the dead-letter queue, visible or not."
        )
        self.received = register.counter(
            "messages_received", "messages", "Messages taken from the request queue."
        )
        self.rejected = register.counter(
            "messages_rejected",
            "messages",
            "Messages that could never become a request.",
            REJECT_REASON,
        )
        self.duplicates = register.counter(
            "messages_duplicate",
            "messages",
            "Second copies of a request that is known already.",
            KNOWN_AS,
        )
        self.undecided = register.counter(
            "messages_undecided",
            "messages",
            "Messages given back because AWS could not be reached.",
        )
        self.heartbeat_failures = register.counter(
            "heartbeat_failures",
            "messages",
            "Messages whose visibility could not be extended.",
        )
        self.events = register.counter(
            "events_received", "events", "Events taken from the events queue.", EVENT_SOURCE
        )
        self.unreadable = register.counter(
            "ledger_unreadable",
            "documents",
            "Times that a document of the ledger could not be read.",
            KIND,
        )

    def _define_requests(self, register: Register) -> None:
        register.begin("Requests")
        self.held = register.gauge("requests_held", "requests", "Requests waiting for an order.")
        self.in_flight = register.gauge(
            "requests_in_flight", "requests", "Requests in an order under way."
        )
        self.oldest_age_seconds = register.gauge(
            "oldest_request_age_seconds",
            "seconds",
            "Since the oldest request that is held or in an order was sent to the queue; 0 without "
            "one. What still waits in the queue is not in it.",
        )
        self.orders_open = register.gauge(
            "orders_open", "orders", "Orders with requests yet to settle."
        )
        self.settled = register.counter(
            "requests_settled",
            "requests",
            "Requests that found their end.",
            PROFILE,
            FATE,
            END_REASON,
        )
        self.retried = register.counter(
            "requests_retried",
            "tries",
            "Tries that failed and are made again.",
            PROFILE,
            RETRY_REASON,
        )
        self.warned = register.counter(
            "requests_warned",
            "requests",
            "Finished requests whose transcript has a warning, such as of damaged audio.",
            PROFILE,
        )
        self.audio_seconds = register.counter(
            "audio_seconds", "seconds", "Audio transcribed.", PROFILE
        )
        self.speech_seconds = register.counter(
            "speech_seconds", "seconds", "Speech found in it, in all its channels.", PROFILE
        )
        self.turnaround_seconds = register.histogram(
            "turnaround_seconds",
            "seconds",
            "From taking a message to its transcript.",
            PROFILE,
            buckets=TURNAROUND_BUCKETS_SECONDS,
        )
