"""Orders: what is written, claimed and submitted, and what the next daemon makes of it."""

import asyncio
from datetime import timedelta

import pytest

from daemon.claims import LISTED_WITHIN, SUBMIT_WITHIN, TAKEN_OVER_AFTER, Claim
from daemon.ports import Refused, Throttled, Unavailable
from daemon.simulation import clock
from daemon.simulation.line import Killed
from tests.simulated import LEDGER, Core, Services

pytestmark = pytest.mark.looptime

NO_ANSWER = Unavailable("batch", "no answer")
NO_STORE = Unavailable("s3", "no answer")

CALLS_OF_AN_ORDER = ["PutObject", "PutObject", "SubmitJob", "PutObject"]
"""The order, the claim, the job, the job's id in the claim."""


async def holding(services: Services, *request_ids: str, name: str = "daemon") -> Core:
    """A daemon that holds these requests."""
    core = Core(services, name)
    for request_id in request_ids:
        services.send(request_id)
    await core.intake.poll()
    assert len(core.outstanding.held()) == len(request_ids)
    core.line.log.clear()
    return core


async def next_daemon(services: Services, name: str = "next") -> Core:
    """A daemon that adopts what it finds."""
    core = Core(services, name)
    await core.orders.adopt()
    return core


async def drive(core: Core) -> None:
    """What a round of reconcile does for orders without a job."""
    for opened in core.orders.under_way():
        if opened.job_id is None:
            await core.orders.drive(opened)


async def wait(delay: timedelta, *cores: Core) -> None:
    """Let so much time pass, with rounds of the daemons in between."""
    until = clock.now() + delay
    while clock.now() < until:
        await asyncio.sleep(min(15.0, (until - clock.now()).total_seconds()))
        for core in cores:
            await drive(core)


async def test_an_order_is_written_claimed_submitted_and_noted_in_this_turn() -> None:
    core = await holding(services := Services(), "a", "b")
    await core.place("a", "b")

    assert core.line.log == CALLS_OF_AN_ORDER
    [order], [(job_id, name)] = services.open_orders(), services.jobs()
    assert name == order.order_id
    assert [[item.request_id for item in shard.items] for shard in order.shards] == [["a"], ["b"]]
    found = services.objects.get(LEDGER.claim(order.order_id))
    assert found is not None
    assert Claim.model_validate_json(found[0]).job_id == job_id
    assert core.outstanding.held() == []


@pytest.mark.parametrize(("requests", "child"), [(1, ""), (3, ":2")])
async def test_a_single_shard_is_a_job_and_several_are_an_array(requests: int, child: str) -> None:
    names = ["a", "b", "c"][:requests]
    core = await holding(services := Services(), *names)
    await core.place(*names)

    [(job_id, _)], [opened] = services.jobs(), core.orders.under_way()
    job = (await core.orders.batch.describe([job_id]))[job_id]
    assert sum(job.children.values()) == (requests if requests > 1 else 0)
    assert opened.job_of(requests - 1) == f"{job_id}{child}"


@pytest.mark.parametrize("heard", [False, True])
@pytest.mark.parametrize("call", range(len(CALLS_OF_AN_ORDER)))
async def test_wherever_a_daemon_dies_its_order_gets_one_job(call: int, heard: bool) -> None:
    core = await holding(services := Services(), "a", "b")
    core.line.die(call, heard=heard)
    with pytest.raises(Killed):
        await core.place("a", "b")

    after = await next_daemon(services)
    await drive(after)
    await wait(TAKEN_OVER_AFTER + timedelta(seconds=1), after)

    written = call > 0 or heard
    assert len(services.open_orders()) == len(services.jobs()) == written
    assert [opened.job_id for opened in after.orders.under_way()] == [
        job_id for job_id, _ in services.jobs()
    ]
    owed = after.outstanding.ordered()
    assert sorted(one.item.request_id for one in owed) == (["a", "b"] if written else [])


@pytest.mark.parametrize("heard", [False, True])
async def test_a_submission_without_answer_is_not_repeated_before_its_job_would_be_listed(
    heard: bool,
) -> None:
    listed = LISTED_WITHIN - timedelta(seconds=5)
    services = Services(visible_after_seconds=listed.total_seconds())
    core = await holding(services, "a")
    core.line.fail("SubmitJob", NO_ANSWER, heard=heard)
    with pytest.raises(Unavailable):
        await core.place("a")

    await wait(TAKEN_OVER_AFTER - timedelta(seconds=1), core)
    assert len(services.jobs()) == heard
    await wait(timedelta(seconds=20), core)

    [(job_id, _)] = services.jobs()
    assert [opened.job_id for opened in core.orders.under_way()] == [job_id]


async def test_a_submission_that_hangs_is_given_up_and_not_repeated_at_once() -> None:
    core = await holding(services := Services(), "a")
    core.line.pause("SubmitJob", heard=True)
    with pytest.raises(Unavailable, match="no answer to the submission"):
        await core.place("a")

    core.line.log.clear()
    await drive(core)
    assert "SubmitJob" not in core.line.log
    assert [opened.job_id for opened in core.orders.under_way()] == [services.jobs()[0][0]]


async def test_a_throttled_submission_is_repeated_at_once() -> None:
    core = await holding(services := Services(), "a")
    core.line.fail("SubmitJob", Throttled("batch", "Rate exceeded"), times=1_000)
    with pytest.raises(Throttled):
        await core.place("a")

    core.line.heal()
    await drive(core)

    assert len(services.jobs()) == 1
    assert clock.elapsed_seconds() < TAKEN_OVER_AFTER.total_seconds()


async def test_a_refused_submission_is_repeated_at_once() -> None:
    core = await holding(services := Services(lanes=False), "a")
    with pytest.raises(Refused):
        await core.place("a")
    services.add_lane()
    await drive(core)

    assert len(services.jobs()) == 1


async def test_a_claim_that_took_long_to_write_is_renewed_before_the_order_is_submitted() -> None:
    """Else others would take the order over while its job is not listed yet."""
    core = await holding(services := Services(), "a")
    slow = core.line.pause("PutObject", heard=True, spared=1)
    placing = asyncio.create_task(core.place("a"))
    await slow.reached.wait()
    await asyncio.sleep(SUBMIT_WITHIN.total_seconds() + 1)
    slow.over.set()
    await placing
    await drive(core)

    [(_, name)] = services.jobs()
    found = services.objects.get(LEDGER.claim(name))
    assert found is not None
    assert clock.now() - Claim.model_validate_json(found[0]).claimed_at < SUBMIT_WITHIN


@pytest.mark.parametrize("call", range(1, len(CALLS_OF_AN_ORDER)), ids=CALLS_OF_AN_ORDER[1:])
async def test_two_daemons_that_race_for_an_order_submit_it_once(call: int) -> None:
    core = await holding(services := Services(visible_after_seconds=50.0), "a")
    held_up = core.line.pause("", spared=call)
    placing = asyncio.create_task(core.place("a"))
    await held_up.reached.wait()
    other = await next_daemon(services)
    await drive(other)
    held_up.over.set()
    await placing
    await wait(TAKEN_OVER_AFTER, core, other)

    [(job_id, _)] = services.jobs()
    [here], [there] = core.orders.under_way(), other.orders.under_way()
    assert here.job_id == there.job_id == job_id


async def test_a_job_that_could_not_be_noted_is_found_by_its_name() -> None:
    core = await holding(services := Services(), "a")
    core.line.fail("PutObject", NO_STORE, spared=2)
    await core.place("a")
    after = await next_daemon(services)
    await drive(after)

    assert [opened.job_id for opened in after.orders.under_way()] == [services.jobs()[0][0]]
    assert len(services.jobs()) == 1


async def test_an_order_that_cannot_be_read_is_left_alone_and_hinders_no_other() -> None:
    core = await holding(services := Services(), "a")
    await core.place("a")
    strange = LEDGER.open_order("strange")
    services.objects.put(strange, b'{"order_id": "strange"')

    after = await next_daemon(services)
    after.line.log.clear()
    await after.orders.adopt()

    assert len(after.orders.under_way()) == 1
    assert services.objects.get(strange) is not None
    assert after.line.log == ["ListObjectsV2"], "it is read again and again"


async def test_requests_of_an_order_that_was_never_written_are_held_again() -> None:
    core = await holding(services := Services(), "a", "b", "c")
    await core.place("c")
    core.line.fail("PutObject", NO_STORE)
    with pytest.raises(Unavailable):
        await core.place("a", "b")
    assert core.outstanding.held() == []

    core.orders.withdraw_unwritten()

    assert [owed.item.request_id for owed in core.outstanding.held()] == ["a", "b"]
    assert len(core.orders.under_way()) == len(services.jobs()) == 1


async def test_an_order_that_could_not_be_written_is_driven_on_later() -> None:
    core = await holding(services := Services(), "a")
    core.line.fail("PutObject", NO_STORE)
    with pytest.raises(Unavailable):
        await core.place("a")
    await drive(core)

    assert len(services.open_orders()) == len(services.jobs()) == 1


async def test_adopting_twice_changes_nothing() -> None:
    core = await holding(services := Services(), "a", "b")
    await core.place("a", "b")
    after = await next_daemon(services)
    await drive(after)
    before = after.orders.under_way()
    await after.orders.adopt()

    assert after.orders.under_way() == before
    assert after.outstanding.messages == len(after.outstanding.ordered()) == 2


async def test_a_request_that_is_held_here_is_under_way_once_its_order_is_found() -> None:
    core = await holding(services := Services(), "a")
    await core.place("a")
    other = Core(services, "other")
    services.send("a")
    await other.intake.poll()
    assert len(other.outstanding.held()) == 1
    await other.orders.adopt()

    assert other.outstanding.held() == []
    [owed] = other.outstanding.ordered()
    assert len(owed.messages) == other.outstanding.messages == 2


async def test_orders_are_not_listed_again_for_every_message_that_comes_back() -> None:
    core = Core(Services())
    for _ in range(5):
        await core.orders.adopt_lately()
        await asyncio.sleep(1)
    assert core.line.log == ["ListObjectsV2"]
    await asyncio.sleep(10)
    await core.orders.adopt_lately()
    assert core.line.log == ["ListObjectsV2"] * 2


async def test_a_closed_order_is_under_way_no_more_and_nobody_claims_it() -> None:
    core = await holding(services := Services(), "a")
    await core.place("a")
    [opened] = core.orders.under_way()
    await core.orders.close(opened)

    assert core.orders.under_way() == []
    folders = [entry.uri.key.split("/")[1] for entry in services.objects.list(LEDGER.root)]
    assert folders == ["closed"]


async def test_an_order_that_another_daemon_closed_meanwhile_is_not_submitted_again() -> None:
    core = await holding(services := Services(), "a")
    await core.place("a")
    other = await next_daemon(services)
    [opened] = core.orders.under_way()
    await core.orders.close(opened)

    await drive(other)

    assert len(services.jobs()) == 1
    assert other.orders.under_way() == []
    assert other.outstanding.messages == 0
