"""The estimator: how fast it learns what is true, and that nothing leads it astray for good."""

import random
from dataclasses import astuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.estimator import COST_SHARE_MIN, Costs, Estimator
from daemon.metrics import Metrics
from daemon.request import Hints
from daemon.settings import EstimatorSettings

LANE = "lane"
GUESS = Costs(30, 0.5, 0.02)


def estimator(metrics: Metrics | None = None) -> Estimator:
    settings = EstimatorSettings(
        seconds_per_job=GUESS.per_job,
        seconds_per_request=GUESS.per_request,
        seconds_per_audio_second=GUESS.per_audio_second,
        audio_seconds=300,
        bytes_per_second=16_000,
    )
    return Estimator(settings, metrics or Metrics())


def work(
    learner: Estimator, truth: Costs, source: random.Random, shards: int, noise: float = 0.05
) -> float:
    """Let shards of mixed sizes end; the last estimate as a multiple of the truth."""
    ratio = 1.0
    for _ in range(shards):
        requests = source.randint(1, 200)
        audio_seconds = requests * source.lognormvariate(5, 0.7)
        ratio = learner.costs(LANE).of_shard(requests, audio_seconds) / truth.of_shard(
            requests, audio_seconds
        )
        learner.worked(
            LANE,
            requests=requests,
            audio_seconds=audio_seconds,
            seconds=truth.of_shard(requests, audio_seconds) * source.uniform(1 - noise, 1 + noise),
            expected=None,
        )
    return ratio


def test_before_anybody_has_worked_the_settings_are_believed() -> None:
    assert estimator().costs(LANE) == GUESS


@pytest.mark.parametrize("factor", [0.05, 0.3, 1, 3, 20])
@pytest.mark.parametrize("seed", range(4))
def test_a_wrong_first_guess_is_forgotten_after_a_few_shards(factor: float, seed: int) -> None:
    truth = Costs(GUESS.per_job, GUESS.per_request * factor, GUESS.per_audio_second * factor)
    ratio = work(learner := estimator(), truth, random.Random(seed), 4)
    assert 0.8 < ratio < 1.25
    for _ in range(3):
        assert 0.85 < work(learner, truth, random.Random(seed + 1), 20) < 1.15


def test_the_three_costs_are_told_apart() -> None:
    truth = Costs(60, 2.0, 0.008)
    work(learner := estimator(), truth, random.Random(1), 200)
    for found, true in zip(astuple(learner.costs(LANE)), astuple(truth), strict=True):
        assert found == pytest.approx(true, rel=0.25)


def test_a_new_model_is_noticed() -> None:
    learner, source = estimator(), random.Random(2)
    work(learner, Costs(30, 1, 0.01), source, 100)
    assert work(learner, Costs(30, 1, 0.04), source, 100) == pytest.approx(1, rel=0.15)


def test_a_shard_that_hung_changes_little() -> None:
    learner, source = estimator(), random.Random(3)
    work(learner, GUESS, source, 50)
    before = learner.costs(LANE).of_shard(50, 5_000)
    learner.worked(LANE, requests=50, audio_seconds=5_000, seconds=36_000, expected=None)
    assert learner.costs(LANE).of_shard(50, 5_000) < 1.6 * before
    assert work(learner, GUESS, source, 20) == pytest.approx(1, rel=0.15)


def test_lanes_learn_by_themselves() -> None:
    work(learner := estimator(), Costs(5, 5, 5), random.Random(4), 10)
    assert learner.costs("other") == GUESS


@given(
    st.lists(
        st.tuples(st.integers(1, 10_000), st.floats(0, 1e7), st.floats(1e-3, 1e6)), max_size=200
    )
)
def test_whatever_is_reported_costs_stay_positive_and_finite(
    reports: list[tuple[int, float, float]],
) -> None:
    learner = estimator()
    for requests, audio_seconds, seconds in reports:
        learner.worked(
            LANE, requests=requests, audio_seconds=audio_seconds, seconds=seconds, expected=None
        )
    for cost, guess in zip(astuple(learner.costs(LANE)), astuple(GUESS), strict=True):
        assert COST_SHARE_MIN * guess <= cost < 1e9


def test_a_hint_is_believed() -> None:
    assert estimator().audio_seconds(Hints("wav", 1, 77.0)) == 77.0


def test_the_bytes_of_a_second_are_learned_by_container() -> None:
    learner = estimator()
    assert learner.audio_seconds(Hints("opus", 160_000)) == pytest.approx(10)
    for _ in range(20):
        learner.heard(Hints("opus", 4_000 * 600), 600)
    assert learner.audio_seconds(Hints("opus", 4_000 * 60)) == pytest.approx(60, rel=0.15)
    assert learner.audio_seconds(Hints("wav", 160_000)) == pytest.approx(10)
    for _ in range(100):
        learner.heard(Hints("exe", 1_000 * 600), 600)
    assert learner.audio_seconds(Hints("", 60_000)) == pytest.approx(60, rel=0.2)


def test_how_long_recordings_are_is_learned_from_those_nothing_was_known_of() -> None:
    learner = estimator()
    assert learner.audio_seconds(Hints()) == 300
    for _ in range(50):
        learner.heard(Hints("wav"), 30)
        learner.heard(Hints("wav", duration_seconds=9_000), 9_000)
        learner.heard(Hints("wav", size_bytes=9), 9_000)
    assert learner.audio_seconds(Hints("mp3")) == pytest.approx(35, rel=0.1)


def test_how_well_it_estimates_is_a_metric() -> None:
    learner = estimator(metrics := Metrics())
    for seconds in (10, 20, 40):
        learner.worked(LANE, requests=1, audio_seconds=1, seconds=seconds, expected=20)
    assert metrics.total("shard_estimate_ratio_count") == 3
    assert metrics.total("shard_estimate_ratio_sum") == pytest.approx(3.5)
    assert metrics.total("lane_job_seconds") == pytest.approx(learner.costs(LANE).per_job)
