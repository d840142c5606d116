"""The metrics of lanes, their instances, and what they cost."""

from daemon.metrics.labels import JOB_STATUS, LANE
from daemon.metrics.register import EXPERIMENTAL, Register

RATIO_BUCKETS = (0.25, 0.5, 0.67, 0.8, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0, 4.0)


class FleetMetrics:
    """Lanes, instances and money."""

    def __init__(self, register: Register) -> None:
        self._define_jobs(register)
        self._define_instances(register)
        self._define_estimates(register)

    def _define_jobs(self, register: Register) -> None:
        register.begin("Lanes and jobs")
        self.orders = register.counter(
            "orders_submitted", "orders", "Orders accepted by Batch.", LANE
        )
        self.shards = register.counter(
            "shards_submitted", "shards", "Single-core jobs in them.", LANE
        )
        self.jobs = register.gauge(
            "lane_jobs",
            "shards",
            "Shards of open orders by their job's state at the last look; an array's own job is "
            "none.",
            LANE,
            JOB_STATUS,
            stability=EXPERIMENTAL,
        )
        self.unstarted_seconds = register.gauge(
            "lane_unstarted_seconds",
            "seconds",
            "Age of the oldest order of which no job has begun, by the last look; 0 without one.",
            LANE,
            stability=EXPERIMENTAL,
        )
        self.shut = register.gauge(
            "lane_shut",
            "0 or 1",
            "1 while nothing but probes is ordered from a lane that fails.",
            LANE,
        )
        self.lost_share = register.gauge(
            "lane_lost_share",
            "share",
            "Of the requests begun, those that are interrupted; newer ones count more.",
            LANE,
            stability=EXPERIMENTAL,
        )

    def _define_instances(self, register: Register) -> None:
        register.begin("Instances and money")
        self.slots_up = register.gauge(
            "lane_slots_up",
            "cores",
            "NeuronCores of a lane's instances that run or boot.",
            LANE,
        )
        self.unusable = register.gauge(
            "lane_unusable",
            "0 or 1",
            "1 while a lane's compute environment is invalid, disabled or missing.",
            LANE,
        )
        self.floor_vcpus = register.gauge(
            "lane_floor_vcpus", "vCPUs", "vCPUs that a lane keeps up.", LANE
        )
        self.ceiling_vcpus = register.gauge(
            "lane_ceiling_vcpus",
            "vCPUs",
            "vCPUs that a lane may have, by settings and budget.",
            LANE,
        )
        self.bounds_refused = register.counter(
            "lane_bounds_refused",
            "calls",
            "Times that a lane's floor and ceiling were not taken.",
            LANE,
        )
        self.lane_dollars = register.counter(
            "lane_dollars",
            "US dollars",
            "What a lane's instances have cost while this daemon looked, at the settings' prices.",
            LANE,
            stability=EXPERIMENTAL,
        )
        self.dollars_per_hour = register.gauge(
            "fleet_dollars_per_hour",
            "US dollars per hour",
            "What all instances cost that run or boot.",
        )
        self.dollars_today = register.gauge(
            "fleet_dollars_today",
            "US dollars",
            "What the fleet cost since midnight UTC, if there is a budget of the day.",
        )
        self.budget_per_hour = register.gauge(
            "budget_dollars_per_hour",
            "US dollars per hour",
            "What the settings allow; +Inf without a budget.",
        )
        self.budget_per_day = register.gauge(
            "budget_dollars_per_day",
            "US dollars per day",
            "What the settings allow; +Inf without a budget.",
        )

    def _define_estimates(self, register: Register) -> None:
        register.begin("Estimates")
        self.estimate_ratio = register.histogram(
            "shard_estimate_ratio",
            "ratio",
            "What a shard took, as a multiple of what was expected.",
            LANE,
            buckets=RATIO_BUCKETS,
        )
        self.job_cost = register.gauge(
            "lane_job_seconds",
            "seconds",
            "What a job takes before its first request, as learned.",
            LANE,
        )
        self.request_cost = register.gauge(
            "lane_request_seconds",
            "seconds",
            "What a request takes besides its audio, as learned.",
            LANE,
        )
        self.audio_cost = register.gauge(
            "lane_seconds_per_audio_second",
            "seconds per second",
            "What a second of audio takes, as learned.",
            LANE,
        )
