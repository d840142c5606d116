"""The offline lower bound: what no dispatcher on the same chips could be better than.

Cost: the work of every request, once, fills both cores of cheap chips without a gap, after one boot
of one instance, one image pull, one container start and one model load on each core. Makespan: all
cores of the ceiling are there from one such start on, and share the work as a fluid, each request
from its arrival on.

What it relaxes: the future is known; recordings are cut anywhere at no cost; starting up is paid
for one instance only, whatever the makespan needs; nothing is kept warm between arrivals; Batch
needs no idle time to scale in; no instance is lost, and a recording that kills its worker is tried
once. The two bounds need not be reached together. Turnaround is not bounded.
"""

from daemon.catalogue import CORES_PER_CHIP
from daemon.simulation.figures import Measures
from daemon.simulation.parameters import SECONDS_PER_HOUR, Parameters
from daemon.simulation.scenario import SimulatedLane
from daemon.simulation.workload import Workload


def bound(workload: Workload, parameters: Parameters) -> Measures:
    """The figures of the bound; what it does not tell is None or nothing."""
    scenario = workload.scenario
    work_seconds = sum(workload.core_seconds)
    process_seconds = parameters.profile(scenario.profile).load_seconds
    before_seconds = (
        parameters.boot_seconds
        + parameters.evaluate_seconds
        + parameters.image_pull_seconds
        + parameters.container_start_seconds
    )
    hour_price, cores = min(
        (_core_hour(lane, parameters), lane.size.cores) for lane in scenario.lanes
    )
    process_core_seconds = cores * process_seconds
    idle_core_seconds = cores * (before_seconds - parameters.evaluate_seconds)
    paid = max(
        idle_core_seconds + process_core_seconds + work_seconds,
        cores * parameters.billing_minimum_seconds,
    )
    cost = paid / SECONDS_PER_HOUR * hour_price
    audio_hours = workload.useful_audio_seconds / SECONDS_PER_HOUR
    return Measures(
        dollars=round(cost, 6),
        dollars_per_audio_hour=round(cost / audio_hours, 6) if audio_hours else None,
        busy_share=round((process_core_seconds + work_seconds) / paid, 6),
        half_filled_share=0.0,
        transcribing_share=round(work_seconds / paid, 6),
        makespan_seconds=round(_makespan(workload, before_seconds + process_seconds), 6),
        first_transcript_seconds=None,
        turnaround_p50_seconds=None,
        turnaround_p95_seconds=None,
        turnaround_p99_seconds=None,
        submissions=0,
        jobs=0,
        calls_per_1000_requests=0.0,
        repeated_share=0.0,
        cut_short_share=0.0,
        instances=0,
        instances_lost=0,
        peak_chips=scenario.chips_max,
        transcripts=sum(workload.is_good(index) for index in range(len(workload))),
        given_up=sum(not workload.is_good(index) for index in range(len(workload))),
    )


def _core_hour(lane: SimulatedLane, parameters: Parameters) -> float:
    return parameters.dollars_per_hour(lane.instance_type, spot=lane.spot) / lane.size.cores


def _makespan(workload: Workload, start_seconds: float) -> float:
    """From the first arrival to the end of a fluid that all cores drain."""
    cores = workload.scenario.chips_max * CORES_PER_CHIP
    began = workload.at_seconds[0]
    at = began + start_seconds
    for arrived, core_seconds in zip(workload.at_seconds, workload.core_seconds, strict=True):
        at = max(at, arrived) + core_seconds / cores
    return at - began
