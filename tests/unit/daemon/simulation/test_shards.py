import asyncio
import json
import random
from array import array
from collections.abc import Callable
from datetime import timedelta

import pytest

from daemon.dispatcher import Dispatcher
from daemon.embedded.batch.effects import AttemptKey, Run, StopSignal
from daemon.embedded.batch.executor import Executor, Exit
from daemon.orders import EVENTS_VARIABLE, ORDER_VARIABLE
from daemon.ports import Outgoing
from daemon.simulation import clock, fleet
from daemon.simulation.bench import Bench
from daemon.simulation.cloud import SimulatedCloud
from daemon.simulation.history import History
from daemon.simulation.shard_executor import ShardExecutor
from daemon.simulation.shards import WRITE_PERIOD_SECONDS
from daemon.simulation.store import Objects
from daemon.simulation.weather import Forecast
from daemon.simulation.workers import Nature, Recording
from daemon.simulation.workload import Workload, request_id
from neuron_worker.contract import (
    Ledger,
    Order,
    Outcome,
    OutcomeKind,
    Range,
    Reason,
    Record,
    S3Uri,
    Shard,
    ShardReport,
    TranscriptFormat,
    WorkItem,
)
from tests import fleets

LEDGER = Ledger(S3Uri("ledger", ""))
ORDER = "wf-1"
BEGUN = fleets.PULL + fleets.START
WORKING = BEGUN + fleets.LOAD


class SpyObjects(Objects):
    def __init__(self) -> None:
        super().__init__()
        self.writes: list[tuple[float, str]] = []

    def put(self, uri: S3Uri, content: bytes) -> str:
        self.writes.append((clock.elapsed_seconds(), uri.key.partition("/")[0]))
        return super().put(uri, content)


class Desk:
    """One order of one shard, its bench, and attempts at it."""

    def __init__(self, work: Workload) -> None:
        self.history = History.beginning(work.at_seconds)
        self.objects = SpyObjects()
        self.rings: list[dict[str, object]] = []
        self.bench = Bench(
            work,
            fleets.parameters(),
            self.history,
            self.objects,
            lambda message: self.rings.append(json.loads(message.body)),
        )
        self.executor = ShardExecutor(self.bench)
        items = tuple(
            WorkItem(
                request_id=request_id(index),
                audio=f"s3://recordings/{index}.wav",
                output="s3://transcripts/",
            )
            for index in range(len(work))
        )
        self.order = Order(
            order_id=ORDER,
            profile=fleets.PROFILE,
            lane="lane",
            created_at=clock.EPOCH,
            shards=(Shard(items=items),),
        )

    async def attempt(
        self,
        number: int = 1,
        kill_at: float | None = None,
        signal: StopSignal = StopSignal.KILL,
        shard: int | None = None,
    ) -> Exit:
        self.objects.put(LEDGER.open_order(ORDER), self.order.to_json())
        run = Run(
            key=AttemptKey("job", number),
            job_name=ORDER,
            queue="lane",
            compute_environment="lane",
            instance_id=f"i-{number}",
            core=0,
            cores=2,
            array_index=shard,
            image="worker",
            command=(),
            environment={ORDER_VARIABLE: str(LEDGER.open_order(ORDER)), EVENTS_VARIABLE: "events"},
            log_stream="",
        )
        attendant = await self.executor.start(run)
        ended = asyncio.create_task(attendant.wait())
        if kill_at is not None:
            await asyncio.sleep(kill_at - clock.elapsed_seconds())
            attendant.signal(signal)
        return await ended

    def cut(self, count: int) -> None:
        """Have the order be for the ranges of its only request."""
        [item] = self.order.items()
        parts = (Range(number=number, count=count) for number in range(count))
        items = [item.model_copy(update={"range": part}) for part in parts]
        shards = tuple(Shard(items=(item,)) for item in items)
        self.order = self.order.model_copy(update={"shards": shards})

    def report(self, shard: int = 0) -> ShardReport:
        uri = LEDGER.report(ORDER, shard)
        found = self.objects.get(uri)
        assert found is not None
        return ShardReport.read(found[0], uri)

    def record(self, index: int) -> Record | None:
        uri = LEDGER.record(request_id(index))
        found = self.objects.get(uri)
        return Record.read(found[0], uri) if found else None


def work_of(*core_seconds: float, natures: tuple[Nature, ...] = ()) -> Workload:
    return fleets.workload([0.0] * len(core_seconds), core_seconds, natures)


def attempt(
    work: Workload, kill_at: float | None = None, signal: StopSignal = StopSignal.KILL
) -> tuple[Desk, Exit]:
    async def main() -> tuple[Desk, Exit]:
        desk = Desk(work)
        return desk, await desk.attempt(kill_at=kill_at, signal=signal)

    return clock.run(main())


def test_each_request_ends_when_those_before_it_have() -> None:
    desk, end = attempt(work_of(30, 50, 40))

    assert end == Exit(0)
    assert list(desk.history.finished_at) == [WORKING + 30, WORKING + 80, WORKING + 120]
    report = desk.report()
    assert not report.in_hand
    assert report.began_at == clock.EPOCH + timedelta(seconds=BEGUN)
    assert [outcome.kind for outcome in report.outcomes] == [OutcomeKind.DONE] * 3
    assert [outcome.wall_seconds for outcome in report.outcomes] == [30, 50, 40]
    assert desk.record(1) == Record(request_id=request_id(1), outcomes=(report.outcomes[1],))
    assert report.outcomes[1].transcripts[TranscriptFormat.JSON].endswith("1.wav/r00000001.json")


def test_each_range_tells_what_it_took_also_the_one_that_joins_them() -> None:
    async def main() -> Desk:
        desk = Desk(work_of(90))
        desk.cut(2)
        for shard in range(2):
            await desk.attempt(shard + 1, shard=shard)
        return desk

    desk = clock.run(main())

    outcomes = [outcome for shard in range(2) for outcome in desk.report(shard).outcomes]
    assert [outcome.kind for outcome in outcomes] == [OutcomeKind.RANGE_DONE, OutcomeKind.DONE]
    assert [outcome.wall_seconds for outcome in outcomes] == [45, 45]


def test_writes_are_made_at_intervals_records_before_the_report_that_tells_of_them() -> None:
    desk, _ = attempt(work_of(*[25.0] * 6))

    writes = desk.objects.writes[1:]
    times = sorted({at for at, _ in writes})
    assert times == [WORKING, WORKING + 60, WORKING + 120, WORKING + 150]
    assert WRITE_PERIOD_SECONDS == 60
    for at in times[1:]:
        kinds = [kind for when, kind in writes if when == at]
        assert kinds == sorted(kinds, reverse=True)
        assert kinds[0] == "records"
    assert {ring["order_id"] for ring in desk.rings} == {ORDER}


def test_the_report_names_a_request_before_work_on_it_begins() -> None:
    async def main() -> None:
        desk = Desk(work_of(500))
        running = asyncio.create_task(desk.attempt())
        await asyncio.sleep(WORKING + 1)
        assert [hand.request_id for hand in desk.report().in_hand] == [request_id(0)]
        await running

    clock.run(main())


def test_a_killed_worker_loses_what_was_in_hand_and_nothing_else() -> None:
    desk, end = attempt(work_of(30, 50, 40), kill_at=WORKING + 35)

    assert end.exit_code == 137
    report = desk.report()
    assert [outcome.request_id for outcome in report.outcomes] == [request_id(0)]
    assert [hand.request_id for hand in report.in_hand] == [request_id(1)]
    assert desk.record(0) is not None
    assert desk.record(1) is None
    assert desk.history.work.cut_short == 5


def test_a_worker_that_is_told_to_stop_has_nothing_in_hand() -> None:
    desk, end = attempt(work_of(30, 50), kill_at=WORKING + 35, signal=StopSignal.TERM)

    assert end.exit_code == 75
    assert not desk.report().in_hand


def test_a_worker_that_is_killed_while_it_loads_leaves_no_report() -> None:
    desk, end = attempt(work_of(30), kill_at=BEGUN + 1)

    assert end.exit_code == 137
    assert desk.objects.get(LEDGER.report(ORDER, 0)) is None
    assert desk.history.work.cut_short == 0


def test_the_next_attempt_goes_on_where_the_last_one_ended() -> None:
    async def main() -> tuple[Desk, Exit, float]:
        desk = Desk(work_of(30, 50, 40))
        await desk.attempt(kill_at=WORKING + 35)
        end = await desk.attempt(2)
        return desk, end, clock.elapsed_seconds()

    desk, end, ended_at = clock.run(main())

    assert end == Exit(0)
    assert ended_at == WORKING + 35 + WORKING + 90
    assert desk.report().job_attempt == 2
    assert desk.history.work.again == 0
    assert [outcome.request_id for outcome in desk.report().outcomes] == [
        request_id(index) for index in range(3)
    ]


@pytest.mark.parametrize("done", [True, False])
def test_a_request_that_is_done_or_given_up_elsewhere_is_skipped(done: bool) -> None:
    async def main() -> tuple[Desk, float]:
        desk = Desk(work_of(30, 50))
        outcome = Outcome(
            request_id=request_id(0),
            order_id="wf-0",
            shard_index=3,
            kind=OutcomeKind.DONE if done else OutcomeKind.BAD_INPUT,
            finished_at=clock.EPOCH,
        )
        record = Record(
            request_id=request_id(0),
            outcomes=(outcome,),
            dead_lettered_at=None if done else clock.EPOCH,
        )
        desk.objects.put(LEDGER.record(request_id(0)), record.to_json())
        await desk.attempt()
        return desk, clock.elapsed_seconds()

    desk, ended_at = clock.run(main())

    assert ended_at == WORKING + 50
    first = desk.report().outcomes[0]
    assert (first.order_id, first.shard_index) == (ORDER, 0)
    assert first.reason is (None if done else Reason.GIVEN_UP)


def test_a_recording_that_kills_is_in_hand_when_its_worker_dies() -> None:
    natures = (Nature.GOOD, Nature.POISON, Nature.GOOD)
    desk, end = attempt(work_of(30, 20, 40, natures=natures))

    assert end.exit_code == 139
    assert [hand.request_id for hand in desk.report().in_hand] == [request_id(1)]
    assert len(desk.report().outcomes) == 1


def test_a_worker_without_its_order_says_so() -> None:
    async def main() -> Exit:
        desk = Desk(work_of(30))
        desk.objects.put = lambda uri, content: ""  # type: ignore[method-assign]
        return await desk.attempt()

    assert clock.run(main()).exit_code == 66


def fates(work: Workload, fast: bool) -> dict[str, str]:
    """What became of each request with the real dispatcher and one kind of worker."""

    async def main() -> dict[str, str]:
        letters: dict[str, str] = {}

        def on_letter(letter: Outgoing) -> None:
            letters[letter.attributes["request_id"]] = letter.attributes["reason"]

        def executor(cloud: SimulatedCloud) -> Executor:
            history = History.beginning(array("d", work.at_seconds))
            bench = Bench(work, fleets.parameters(), history, cloud.objects, cloud.events.send)
            return ShardExecutor(bench)

        settings = fleets.settings().model_copy(
            update={
                "default_profile": fleets.PROFILE,
                "lanes": fleet.lanes(work.scenario, fleets.parameters()),
            }
        )
        ledger = Ledger(S3Uri.parse(settings.locations.ledger))
        recordings = {
            json.loads(work.body(index))["audio"]: Recording(seconds, work.nature(index))
            for index, seconds in enumerate(work.core_seconds)
        }
        cloud = SimulatedCloud(
            random.Random(1),
            recordings,
            Forecast(),
            pace=fleets.parameters().pace(),
            events_lost=0.0,
            on_letter=on_letter,
            executor=executor if fast else None,
        )
        [lane] = work.scenario.lanes
        cloud.add_lane(fleet.lane_names(work.scenario)[0], lane.size, lane.max_vcpus)
        for index in range(len(work)):
            cloud.requests.send(Outgoing(work.body(index)))
        dispatcher = Dispatcher(
            settings,
            cloud.world(cloud.line("daemon")),
            clock=clock.now,
            source=random.Random(2),
        )
        running = asyncio.create_task(dispatcher.run())
        await asyncio.sleep(500)
        for instance_id in cloud.living_instances():
            cloud.driver.lose_instance(instance_id)
        await asyncio.sleep(2_400)
        dispatcher.stop()
        await running
        await cloud.close()
        found = dict(letters)
        for index in range(len(work)):
            known = cloud.objects.get(ledger.record(request_id(index)))
            if known and Record.read(known[0], ledger.record(request_id(index))).done:
                found[request_id(index)] = "done"
        return found

    random.seed(1)
    return clock.run(main())


def test_the_fast_workers_requests_meet_the_same_fates(silent: Callable[[], None]) -> None:
    silent()
    kinds = [Nature.GOOD] * 7 + [Nature.BAD, Nature.POISON, Nature.GOOD]
    natures = tuple(kinds[number % 10] for number in range(40))
    work = work_of(*(20.0 + number % 17 for number in range(40)), natures=natures)

    slow, fast = fates(work, fast=False), fates(work, fast=True)

    reasons = {Nature.GOOD: {"done"}, Nature.BAD: {"not_audio"}}
    for index in range(40):
        name = request_id(index)
        if natures[index] is Nature.POISON:
            # How a process dies is by chance with the slow worker.
            assert {slow[name], fast[name]} <= {"worker_died", "out_of_memory"}
        else:
            assert {slow[name], fast[name]} == reasons[natures[index]]
    assert slow.keys() == fast.keys()
