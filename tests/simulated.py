"""Daemons, part by part, over simulated services: for tests on virtual time.

Nothing goes wrong but what a test asks for, and no instance ever boots: a test says itself what
becomes of a job.
"""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from daemon.catalogue import instance_type
from daemon.dispatcher import Dispatcher
from daemon.embedded.batch.pace import Pace
from daemon.planner import Plan
from daemon.ports import Batch, Outgoing
from daemon.settings import Settings
from daemon.simulation import clock
from daemon.simulation.cloud import SimulatedCloud
from daemon.simulation.line import Killed, Line
from daemon.simulation.weather import Forecast, Weather
from neuron_worker.contract import Ledger, Order, Outcome, OutcomeKind, Reason, Record, S3Uri

T = TypeVar("T")

PROFILE = "tiny.en"
LANE = "lane"
LEDGER = Ledger(S3Uri.parse("s3://ledger/"))
CALM = Forecast(Weather(slowest_seconds=0.0))
NEVER_SECONDS = 1e9


def settings(**tables: dict[str, Any]) -> Settings:
    """Settings of one lane, with other tables over the usual ones."""
    document: dict[str, Any] = {
        "default_profile": PROFILE,
        "queues": {"requests": "https://sqs/requests", "dead_letters": "https://sqs/letters"},
        "locations": {"ledger": str(LEDGER.root), "output": "s3://transcripts/"},
        "lanes": [
            {
                "name": LANE,
                "profile": PROFILE,
                "instance_type": "inf2.xlarge",
                "job_queue": LANE,
                "job_definition": LANE,
                "max_vcpus": 40,
            }
        ],
        "intake": {"wait_seconds": 0},
        "retries": {"attempts_max": 3, "infrastructure_attempts_max": 5, "backoff_seconds": 30},
    }
    return Settings.model_validate({**document, **tables})


@dataclass
class _Script:
    operation: str
    act: Callable[[], Awaitable[None]]
    heard: bool
    spared: int
    times: int


@dataclass
class Pause:
    """A call that waits: `reached` says that it does, `over` lets it go on."""

    reached: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self) -> None:
        """What the call does."""
        self.reached.set()
        await self.over.wait()


class ScriptedLine(Line):
    """A line on which a test says what goes wrong; `log` names every call that was made.

    An operation of "" is any. What is `heard` is carried out before it goes wrong. So many calls of
    the operation as are `spared` go well first.
    """

    def __init__(self, name: str, forecast: Forecast = CALM) -> None:
        super().__init__(name, random.Random(0), forecast)
        self.log: list[str] = []
        self._scripts: list[_Script] = []

    def fail(
        self,
        operation: str,
        error: BaseException,
        *,
        heard: bool = False,
        spared: int = 0,
        times: int = 1,
    ) -> None:
        """Have calls fail."""

        async def act() -> None:
            if isinstance(error, Killed):
                self.cut()
            raise error

        self.do(operation, act, heard=heard, spared=spared, times=times)

    def do(
        self,
        operation: str,
        act: Callable[[], Awaitable[None]],
        *,
        heard: bool = False,
        spared: int = 0,
        times: int = 1,
    ) -> None:
        """Have something done around calls."""
        self._scripts.append(_Script(operation, act, heard, spared, times))

    def die(self, call: int, *, heard: bool) -> None:
        """Kill the process around its call of that number, counted from 0."""
        self.fail("", Killed(self.name), heard=heard, spared=call)

    def pause(self, operation: str, *, heard: bool = False, spared: int = 0) -> Pause:
        """Have a call wait."""
        pause = Pause()
        self.do(operation, pause.wait, heard=heard, spared=spared)
        return pause

    def heal(self) -> None:
        """Nothing goes wrong any more."""
        self._scripts.clear()

    async def call(self, service: str, operation: str, effect: Callable[[], T]) -> T:
        """Have something carried out by a service, if the script says nothing else."""
        self.log.append(operation)
        script = self._next(operation)
        if script is not None and not script.heard:
            await script.act()
        answer = await super().call(service, operation, effect)
        if script is not None and script.heard:
            await script.act()
        return answer

    def _next(self, operation: str) -> _Script | None:
        due = None
        for script in self._scripts:
            if script.operation not in ("", operation) or not script.times:
                continue
            if script.spared:
                script.spared -= 1
            elif due is None:
                script.times -= 1
                due = script
        return due


class Services:
    """What several daemons share. `letters` and `deleted` message ids are kept as they came."""

    def __init__(self, *, lanes: bool = True, visible_after_seconds: float = 0.0) -> None:
        self.letters: list[Outgoing] = []
        self.deleted: list[str] = []
        self.on_delete: Callable[[str], None] = lambda _: None
        pace = Pace(boot_seconds=NEVER_SECONDS, visible_after_seconds=visible_after_seconds)
        self.cloud = SimulatedCloud(
            random.Random(0),
            {},
            CALM,
            pace=pace,
            on_delete=self._delete,
            on_letter=self.letters.append,
        )
        self.objects = self.cloud.objects
        if lanes:
            self.add_lane()

    def _delete(self, message_id: str) -> None:
        self.deleted.append(message_id)
        self.on_delete(message_id)

    def add_lane(self) -> None:
        """The lane of the settings, without which every order is refused."""
        self.cloud.add_lane(LANE, instance_type("inf2.xlarge"), 40)

    def send(self, request_id: str | None = None, **fields: Any) -> str:
        """A producer's message; its id."""
        request = {"audio": "s3://recordings/a.wav", "request_id": request_id, **fields}
        given = {name: value for name, value in request.items() if value is not None}
        return self.cloud.requests.send(Outgoing(json.dumps(given)))

    def jobs(self) -> list[tuple[str, str]]:
        """Id and name of every job that was submitted."""
        jobs = self.cloud.model.jobs.of_queue(LANE).values()
        return [(job.job_id, job.spec.name) for job in jobs]

    def counts(self) -> tuple[int, int]:
        """Visible messages and those in flight."""
        counts = self.cloud.requests.model.counts(self.cloud.requests.now_seconds())
        return counts.visible, counts.in_flight

    def record(self, request_id: str) -> Record:
        """What the ledger knows of a request."""
        found = self.objects.get(LEDGER.record(request_id))
        if found is None:
            return Record(request_id=request_id)
        return Record.model_validate_json(found[0])

    def write(self, record: Record) -> None:
        """Make the ledger know that of a request."""
        self.objects.put(LEDGER.record(record.request_id), record.to_json())

    def open_orders(self) -> list[Order]:
        """The orders in the ledger that are not closed."""
        listed = self.objects.list(LEDGER.open_orders())
        contents = (self.objects.get(entry.uri) for entry in listed)
        return [Order.model_validate_json(found[0]) for found in contents if found]


class Core:
    """One daemon's parts, without its loops."""

    def __init__(
        self,
        services: Services,
        name: str = "daemon",
        *,
        batch: Batch | None = None,
        **tables: dict[str, Any],
    ) -> None:
        self.line = ScriptedLine(name)
        world = services.cloud.world(self.line)
        if batch is not None:
            world = replace(world, batch=batch)
        dispatcher = Dispatcher(
            settings(**tables), world, clock=clock.now, source=random.Random(name)
        )
        self.metrics = dispatcher.metrics
        self.outstanding = dispatcher.outstanding
        self.stopping = dispatcher.stopping
        self.orders = dispatcher._orders
        self.breakers = dispatcher._breakers
        self.intake = dispatcher._intake
        self.heartbeat = dispatcher._heartbeat
        self.reconciler = dispatcher._reconciler
        self.settlement = self.reconciler.settlement
        self.records = self.settlement.records

    async def place(self, *shards: str) -> None:
        """Order what is held; each word names the requests of one shard."""
        plan = Plan(PROFILE, tuple(tuple(shard.split()) for shard in shards))
        await self.orders.place(plan)


def outcome(request_id: str, order_id: str, reason: Reason | None = None, **more: Any) -> Outcome:
    """An outcome of the present moment: done, unless there is a reason."""
    return Outcome(
        request_id=request_id,
        order_id=order_id,
        shard_index=0,
        kind=reason.kind if reason else OutcomeKind.DONE,
        reason=reason,
        finished_at=clock.now(),
        **more,
    )
