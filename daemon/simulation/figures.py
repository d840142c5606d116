"""What a history comes to: money, idle chips, waiting. Pure.

A core is busy while a job runs on it, from the start of its process to the end, model load
included; that is what Batch and the embedded cloud count. `transcribing_share` counts the
transcribing only. Paid is an instance's time from launch to end, and no less than the billing
minimum; of it, a chip is half filled while exactly one of its cores is busy.
"""

import math
from array import array
from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict

from daemon.catalogue import CORES_PER_CHIP, instance_type
from daemon.simulation.history import History, InstanceLife, Spans
from daemon.simulation.parameters import SECONDS_PER_HOUR, Parameters

DIGITS = 6
"""Of a figure's fraction: enough for any reader, and no noise of the last bits."""


class Measures(BaseModel):
    """The figures of one policy; None where it does not tell.

    Shares are between 0 and 1, times in seconds. Turnaround is from a request's arrival to its
    transcript; the makespan from the first arrival to the last transcript.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dollars: float
    dollars_per_audio_hour: float | None
    busy_share: float
    half_filled_share: float
    transcribing_share: float
    makespan_seconds: float
    first_transcript_seconds: float | None
    turnaround_p50_seconds: float | None
    turnaround_p95_seconds: float | None
    turnaround_p99_seconds: float | None
    submissions: int
    jobs: int
    calls_per_1000_requests: float
    repeated_share: float
    cut_short_share: float
    instances: int
    instances_lost: int
    peak_chips: int
    transcripts: int
    given_up: int


def measure(history: History, audio_seconds: Sequence[float], parameters: Parameters) -> Measures:
    """All figures; `audio_seconds` is the length of each request's recording.

    Only audio that got its transcript is counted.
    """
    arrived, finished = history.arrived_at, history.finished_at
    done = [index for index, at in enumerate(finished) if not math.isnan(at)]
    audio_hours = sum(audio_seconds[index] for index in done) / SECONDS_PER_HOUR
    cost = sum(dollars(life, parameters) for life in history.instances)
    turnarounds = sorted(finished[index] - arrived[index] for index in done)
    busy = half = paid = 0.0
    for life in history.instances:
        paid += paid_seconds(life, parameters) * instance_type(life.instance_type).chips
        for chip in life.chips():
            one, both = occupied_seconds(chip, life.ended_at)
            busy += one + CORES_PER_CHIP * both
            half += one
    work, requests = history.work, len(arrived)
    return Measures(
        dollars=_rounded(cost),
        dollars_per_audio_hour=_rounded(cost / audio_hours) if audio_hours else None,
        busy_share=_share(busy, paid * CORES_PER_CHIP),
        half_filled_share=_share(half, paid),
        transcribing_share=_share(work.first, paid * CORES_PER_CHIP),
        makespan_seconds=_rounded(max(finished[i] for i in done) - arrived[0]) if done else 0.0,
        first_transcript_seconds=(
            _rounded(min(finished[i] for i in done) - arrived[0]) if done else None
        ),
        turnaround_p50_seconds=percentile(turnarounds, 50),
        turnaround_p95_seconds=percentile(turnarounds, 95),
        turnaround_p99_seconds=percentile(turnarounds, 99),
        submissions=history.submissions,
        jobs=history.jobs,
        calls_per_1000_requests=_rounded(history.calls * 1_000 / requests),
        repeated_share=_share(work.again, work.first),
        cut_short_share=_share(work.cut_short, work.first),
        instances=len(history.instances),
        instances_lost=history.instances_lost,
        peak_chips=peak_chips(history.instances),
        transcripts=len(done),
        given_up=history.given_up,
    )


def paid_seconds(life: InstanceLife, parameters: Parameters) -> float:
    """What EC2 bills an instance for."""
    return max(life.ended_at - life.launched_at, parameters.billing_minimum_seconds)


def dollars(life: InstanceLife, parameters: Parameters) -> float:
    """What an instance cost."""
    price = parameters.dollars_per_hour(life.instance_type, spot=life.spot)
    return paid_seconds(life, parameters) / SECONDS_PER_HOUR * price


def occupied_seconds(chip: Sequence[Spans], until_seconds: float) -> tuple[float, float]:
    """How long exactly one core of a chip was busy, and how long both; spans end at `until`."""
    first, second = chip
    busy = sum(
        max(0.0, min(end, until_seconds) - start)
        for spans in chip
        for start, end in zip(spans.starts, spans.ends, strict=True)
    )
    both, at = 0.0, 0
    for start, end in zip(first.starts, first.ends, strict=True):
        end = min(end, until_seconds)
        while at < len(second.starts) and second.ends[at] <= start:
            at += 1
        here = at
        while here < len(second.starts) and second.starts[here] < end:
            both += max(0.0, min(end, second.ends[here]) - max(start, second.starts[here]))
            here += 1
    return busy - CORES_PER_CHIP * both, both


def peak_chips(lives: Iterable[InstanceLife]) -> int:
    """The most chips that were paid for at once."""
    changes = []
    for life in lives:
        chips = instance_type(life.instance_type).chips
        changes += [(life.launched_at, chips), (life.ended_at, -chips)]
    most = up = 0
    for _, change in sorted(changes):
        up += change
        most = max(most, up)
    return most


def percentile(ordered: "Sequence[float] | array[float]", percent: float) -> float | None:
    """The least value that so many percent do not exceed (nearest rank); None of nothing."""
    if not ordered:
        return None
    return _rounded(ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)])


def _share(part: float, whole: float) -> float:
    return _rounded(part / whole) if whole else 0.0


def _rounded(number: float) -> float:
    return round(number, DIGITS)
