import math
from array import array

import pytest

from daemon.simulation.figures import (
    dollars,
    measure,
    occupied_seconds,
    paid_seconds,
    peak_chips,
    percentile,
)
from daemon.simulation.history import History, InstanceLife, Spans
from tests import fleets


def spans(*pairs: tuple[float, float]) -> Spans:
    made = Spans()
    for start, end in pairs:
        made.add(start, end)
    return made


def life(
    *cores: Spans, start: float = 0, end: float = 3_600, spot: bool = False, size: str = "xlarge"
) -> InstanceLife:
    cores = cores or (Spans(), Spans())
    return InstanceLife(f"inf2.{size}", spot, start, start + 100, end, cores)


def history(*lives: InstanceLife, finished: tuple[float, ...] = (), **facts: float) -> History:
    made = History.beginning(array("d", range(len(finished))))
    made.finished_at = array("d", finished)
    made.instances = lives
    for name, value in facts.items():
        setattr(made.work, name, value)
    return made


@pytest.mark.parametrize(
    ("first", "second", "one", "both"),
    [
        (spans((0, 10)), spans(), 10, 0),
        (spans((0, 10)), spans((0, 10)), 0, 10),
        (spans((0, 10)), spans((4, 6)), 8, 2),
        (spans((0, 10), (20, 30)), spans((5, 25)), 20, 10),
        (spans((0, 10)), spans((1, 2), (3, 4), (9, 12)), 9, 3),
        (spans((0, 1), (2, 3)), spans((1, 2)), 3, 0),
        (spans((0, 200)), spans((50, 300)), 50, 50),
    ],
)
def test_how_long_one_core_of_a_chip_was_busy_and_how_long_both(
    first: Spans, second: Spans, one: float, both: float
) -> None:
    assert occupied_seconds((first, second), 100) == (one, both)
    assert occupied_seconds((second, first), 100) == (one, both)


def test_nothing_lives_for_less_than_the_billing_minimum() -> None:
    short = life(end=10)

    assert paid_seconds(short, fleets.parameters()) == 60
    assert dollars(short, fleets.parameters()) == pytest.approx(1 / 60)
    assert dollars(life(), fleets.parameters()) == 1.0
    assert dollars(life(spot=True), fleets.parameters()) == 0.5


def test_the_shares_of_two_chips() -> None:
    # 7,200 chip seconds are paid: the first chip has both cores busy for 1,800 s and one for 900 s.
    full = life(spans((0, 2_700)), spans((900, 2_700)))
    told = measure(
        history(full, life(), finished=(500,), first=3_000), [3_600], fleets.parameters()
    )

    assert told.dollars == 2.0
    assert told.dollars_per_audio_hour == 2.0
    assert told.busy_share == pytest.approx((2_700 + 1_800) / 14_400)
    assert told.half_filled_share == pytest.approx(900 / 7_200)
    assert told.transcribing_share == pytest.approx(3_000 / 14_400, abs=1e-6)
    assert told.peak_chips == 2


def test_a_chip_of_a_large_instance_counts_by_itself() -> None:
    cores = (spans((0, 3_600)), spans((0, 3_600)), *(Spans() for _ in range(10)))
    large = life(*cores, size="24xlarge")
    told = measure(history(large, finished=(1,)), [1], fleets.parameters())

    assert told.busy_share == pytest.approx(1 / 6, abs=1e-6)
    assert told.half_filled_share == 0
    assert told.peak_chips == 6


def test_only_transcripts_count_for_audio_turnaround_and_makespan() -> None:
    finished = (10.0, math.nan, 30.0, 103.0)
    told = measure(history(life(), finished=finished), [900] * 4, fleets.parameters())

    assert told.transcripts == 3
    assert told.dollars_per_audio_hour == pytest.approx(1 / 0.75, abs=1e-6)
    assert told.makespan_seconds == 103
    assert told.first_transcript_seconds == 10
    assert (told.turnaround_p50_seconds, told.turnaround_p99_seconds) == (28, 100)


def test_nothing_done_has_no_turnaround_and_no_cost_per_hour() -> None:
    told = measure(history(life(), finished=(math.nan,)), [60], fleets.parameters())

    assert told.dollars_per_audio_hour is None
    assert told.turnaround_p95_seconds is None
    assert told.makespan_seconds == 0


def test_repeated_work_is_a_share_of_what_was_needed() -> None:
    told = measure(
        history(life(), finished=(1,), first=200, again=10, cut_short=5), [9], fleets.parameters()
    )

    assert (told.repeated_share, told.cut_short_share) == (0.05, 0.025)


def test_an_instance_that_follows_another_makes_no_peak() -> None:
    assert peak_chips([life(end=100), life(start=100, end=200), life(start=150, end=160)]) == 2


@pytest.mark.parametrize(("percent", "value"), [(50, 50), (95, 95), (99, 99), (100, 100)])
def test_percentiles_are_of_the_nearest_rank(percent: float, value: float) -> None:
    assert percentile([float(one) for one in range(1, 101)], percent) == value
    assert percentile([7.0], percent) == 7
    assert percentile([], percent) is None


def test_the_second_end_of_a_request_is_work_done_again() -> None:
    made = History.beginning(array("d", [0.0, 0.0]))

    made.finish(0, 5, 3, good=True)
    made.finish(0, 9, 3, good=True)
    made.kill(1, 2)
    made.kill(1, 2)

    assert made.finished_at[0] == 5
    assert (made.work.first, made.work.again) == (5, 5)
