"""Claims: of several daemons one may submit an order, and only for a short time."""

import asyncio
from datetime import timedelta

import pytest

from daemon.claims import (
    LISTED_WITHIN,
    SUBMIT_CALL_SECONDS,
    SUBMIT_WITHIN,
    TAKEN_OVER_AFTER,
    Claim,
    Claims,
)
from daemon.metrics import Metrics
from daemon.ports import Unavailable
from daemon.simulation import clock
from daemon.simulation.store import Objects, SimulatedStore
from tests.scripted_services import ScriptedLine
from tests.simulated import LEDGER

pytestmark = pytest.mark.looptime

INSTANT = timedelta(microseconds=1)


def claims_of(objects: Objects, daemon_id: str, line: ScriptedLine | None = None) -> Claims:
    return Claims(
        SimulatedStore(objects, line or ScriptedLine(daemon_id)), LEDGER, daemon_id, Metrics()
    )


async def test_of_daemons_that_claim_an_order_together_one_has_it() -> None:
    objects = Objects()
    daemons = [claims_of(objects, f"daemon-{number}") for number in range(8)]
    made = await asyncio.gather(*(one.make("o", clock.now(), None) for one in daemons))
    [(claim, etag)] = [one for one in made if one is not None]
    assert await daemons[0].get("o", clock.now()) == (claim, etag)


async def test_nobody_has_claimed_an_order_that_is_new_or_over() -> None:
    claims = claims_of(Objects(), "a")
    assert await claims.get("o", clock.now()) is None
    await claims.make("o", clock.now(), None)
    await claims.forget("o")
    assert await claims.get("o", clock.now()) is None


async def test_of_daemons_that_take_a_claim_over_together_one_has_it() -> None:
    objects = Objects()
    first = await claims_of(objects, "first").make("o", clock.now(), None)
    assert first is not None
    await asyncio.sleep(1)
    others = [claims_of(objects, f"other-{number}") for number in range(3)]
    made = await asyncio.gather(*(one.make("o", clock.now(), first[1]) for one in others))
    assert sum(one is not None for one in made) == 1


async def test_a_claim_that_was_forgotten_cannot_be_taken_over() -> None:
    objects = Objects()
    first, other = claims_of(objects, "first"), claims_of(objects, "other")
    made = await first.make("o", clock.now(), None)
    assert made is not None
    await first.forget("o")
    assert await other.make("o", clock.now(), made[1]) is None
    assert await other.get("o", clock.now()) is None


async def test_a_claim_whose_answer_was_lost_is_found_to_be_ones_own() -> None:
    line = ScriptedLine("a")
    claims = claims_of(Objects(), "a", line)
    line.fail("PutObject", Unavailable("s3", "no answer"), heard=True)
    with pytest.raises(Unavailable):
        await claims.make("o", clock.now(), None)
    found = await claims.get("o", clock.now())
    assert found is not None
    assert found[0].may_submit("a", clock.now())


async def test_the_job_is_noted_whoever_asks() -> None:
    objects = Objects()
    claims = claims_of(objects, "a")
    made = await claims.make("o", clock.now(), None)
    assert made is not None
    await claims.note_job(made[0], "job")
    found = await claims_of(objects, "b").get("o", clock.now())
    assert found is not None
    assert (found[0].job_id, found[0].daemon_id) == ("job", "a")


@pytest.mark.parametrize(
    ("age", "may_submit", "may_be_taken_over"),
    [
        (timedelta(), True, False),
        (SUBMIT_WITHIN - INSTANT, True, False),
        (SUBMIT_WITHIN, False, False),
        (TAKEN_OVER_AFTER, False, False),
        (TAKEN_OVER_AFTER + INSTANT, False, True),
    ],
    ids=str,
)
async def test_a_claim_is_good_for_a_short_time_and_stands_in_the_way_for_a_longer_one(
    age: timedelta, may_submit: bool, may_be_taken_over: bool
) -> None:
    claim = Claim(order_id="o", daemon_id="a", claimed_at=clock.now())
    later = clock.now() + age
    assert claim.may_submit("a", later) is may_submit
    assert claim.may_submit("b", later) is False
    assert claim.may_be_taken_over(later) is may_be_taken_over


def test_a_job_is_listed_before_its_claim_can_be_taken_over() -> None:
    latest_submission = SUBMIT_WITHIN + timedelta(seconds=SUBMIT_CALL_SECONDS)
    assert latest_submission + LISTED_WITHIN <= TAKEN_OVER_AFTER
