"""What a request took, as it is counted; the clock is the test's own."""

import pytest

from neuron_worker import meter as module
from neuron_worker.contract import Effort, Stage
from neuron_worker.meter import Meter, peak_memory_bytes, timed
from tests.clock import Clock

MIB = 1024**2


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(module, "monotonic", clock)
    return clock


def test_what_is_shared_is_split_evenly(clock: Clock) -> None:
    one, other = Meter(), Meter()
    with timed(Stage.DECODE, one, other, other):
        clock.advance(6.0)
    with timed(Stage.DECODE, one):
        clock.advance(1.0)

    assert (one.seconds[Stage.DECODE], other.seconds[Stage.DECODE]) == (3.0, 4.0)
    assert one.seconds[Stage.ENCODE] == 0.0


def test_what_nobody_takes_is_nobodys() -> None:
    with timed(Stage.DECODE):
        pass


def test_what_fails_took_its_time(clock: Clock) -> None:
    meter = Meter()

    @timed(Stage.READ, meter)
    def fail() -> None:
        clock.advance(2.0)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        fail()
    assert meter.seconds[Stage.READ] == 2.0


def test_waiting_does_not_count(clock: Clock) -> None:
    meter = Meter()
    with timed(Stage.READ, meter):
        clock.advance(2.0)
        with meter.paused(Stage.READ):
            clock.advance(100.0)
        clock.advance(3.0)

    assert meter.seconds[Stage.READ] == 5.0


def test_the_effort_is_all_that_was_counted() -> None:
    meter = Meter(windows=3, tokens=90, fallbacks=1)
    meter.seconds |= {stage: number + 0.0004 for number, stage in enumerate(Stage)}

    effort = meter.effort()

    assert [effort.seconds_in(stage) for stage in Stage] == [0, 1, 2, 3, 4]
    assert (effort.windows, effort.tokens, effort.fallbacks) == (3, 90, 1)
    assert effort.peak_memory_bytes >= 10 * MIB
    assert Effort.from_json(effort.to_json()) == effort


def test_the_peak_of_memory_stays_after_what_was_held_is_gone() -> None:
    before = peak_memory_bytes()
    held = bytearray(b"\1") * (before + 50 * MIB)
    assert len(held) < peak_memory_bytes()
    del held
    assert peak_memory_bytes() >= before + 50 * MIB
