"""The policy `fleet`: the real dispatcher, with real settings, on virtual time.

Everything of the daemon runs as in production; queue, store and Batch are simulated, the lanes are
the scenario's. It runs until every request is settled and the last instance is gone, because that
is when the bill is closed.
"""

import asyncio
import logging
import math
import random
from collections.abc import Callable
from datetime import datetime

import structlog

from daemon.clock import Clock
from daemon.dispatcher import Dispatcher
from daemon.lanes import Lane
from daemon.ports import Outgoing, Received
from daemon.settings import SecuritySettings, Settings
from daemon.simulation import clock
from daemon.simulation.arriving import ArrivingQueue
from daemon.simulation.bench import Bench
from daemon.simulation.cloud import ARN_PREFIX, SimulatedCloud
from daemon.simulation.forgetful import ForgetfulObjects
from daemon.simulation.history import History
from daemon.simulation.line import Line
from daemon.simulation.parameters import Parameters
from daemon.simulation.scenario import Scenario
from daemon.simulation.shard_executor import ShardExecutor
from daemon.simulation.spot import LOOK_SECONDS, Reclaims
from daemon.simulation.weather import Forecast
from daemon.simulation.workload import Workload, request_id
from neuron_worker.contract import Ledger, S3Uri

Progress = Callable[[float, int], None]
"""Told of the virtual seconds that have passed and of the requests that are settled."""

PATIENCE_SECONDS = 30 * 86_400.0
"""A fleet that has not settled all by then never will."""

STOP_SECONDS = 3_600.0


class Unsettled(Exception):
    """The dispatcher left {left} of {requests} requests unsettled: {cause}"""

    def __init__(self, left: int, requests: int, cause: str) -> None:
        super().__init__(left, requests, cause)
        self.left = left
        self.requests = requests
        self.cause = cause

    def __str__(self) -> str:
        return str(self.__doc__).format(left=self.left, requests=self.requests, cause=self.cause)


def lanes(scenario: Scenario, parameters: Parameters) -> tuple[Lane, ...]:
    """The daemon's lanes, in the scenario's order."""
    return tuple(
        Lane(
            name=name,
            profile=scenario.profile,
            instance_type=lane.instance_type,
            job_queue=name,
            job_definition=name,
            compute_environment=name,
            max_vcpus=lane.max_vcpus,
            instance_dollars_per_hour=parameters.dollars_per_hour(
                lane.instance_type, spot=lane.spot
            ),
        )
        for lane, name in zip(scenario.lanes, lane_names(scenario), strict=True)
    )


def lane_names(scenario: Scenario) -> list[str]:
    """A name for each lane."""
    return [
        f"{number}-{lane.instance_type.replace('.', '-')}-{'spot' if lane.spot else 'on-demand'}"
        for number, lane in enumerate(scenario.lanes, start=1)
    ]


def adapted(settings: Settings, scenario: Scenario, parameters: Parameters) -> Settings:
    """The settings with the scenario's lanes, and its recordings allowed."""
    changed = settings.model_copy(
        update={
            "default_profile": scenario.profile,
            "lanes": lanes(scenario, parameters),
            "security": SecuritySettings(),
        }
    )
    # What was derived from the other rules is copied with them.
    vars(changed).pop("allowed_locations", None)
    return changed


def quick_clock() -> Clock:
    """The dispatcher's clock, `clock.now`, for one that asks many times at the same time."""
    loop = asyncio.get_running_loop()
    last_seconds = loop.time()
    last = clock.now()

    def now() -> datetime:
        nonlocal last_seconds, last
        if loop.time() != last_seconds:
            last_seconds, last = loop.time(), clock.now()
        return last

    return now


def run(
    workload: Workload,
    parameters: Parameters,
    settings: Settings,
    seed: int,
    progress: Progress = lambda _, __: None,
) -> History:
    """Run to the end. `Unsettled` if there is none."""
    # What no one reads costs the most time.
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        logger_factory=structlog.ReturnLoggerFactory(),
    )
    # tenacity draws its jitter from the module's own source.
    random.seed(seed)
    return clock.run(_Fleet(workload, parameters, settings, seed, progress).run())


class _Fleet:
    def __init__(
        self,
        workload: Workload,
        parameters: Parameters,
        settings: Settings,
        seed: int,
        progress: Progress,
    ) -> None:
        scenario = workload.scenario
        self.workload = workload
        self.parameters = parameters
        self.settings = adapted(settings, scenario, parameters)
        self.progress = progress
        self.source = random.Random(f"{seed} fleet")
        self.history = History.beginning(workload.at_seconds)
        self.reclaims = Reclaims(scenario, parameters, seed)
        self.spot = frozenset(
            name
            for name, lane in zip(lane_names(scenario), scenario.lanes, strict=True)
            if lane.spot
        )
        self.settled = 0

    async def run(self) -> History:
        self._build()
        line = self.cloud.line("the daemon")
        dispatcher = Dispatcher(
            self.settings,
            self.cloud.world(line),
            clock=quick_clock(),
            source=random.Random(self.source.getrandbits(64)),
        )
        running = asyncio.create_task(dispatcher.run(), name="the daemon")
        try:
            await self._until(lambda: self.settled == len(self.workload), running)
            await self._until(lambda: not self._living(), running)
            dispatcher.stop()
            await asyncio.wait([running], timeout=STOP_SECONDS)
        finally:
            line.cut()
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await self.cloud.close()
        return self._told(line)

    def _build(self) -> None:
        scenario = self.workload.scenario
        ledger = Ledger(S3Uri.parse(self.settings.locations.ledger))
        # Whatever comes back does so within a visibility timeout.
        keep_seconds = 2.0 * self.settings.intake.visibility_seconds
        self.objects = ForgetfulObjects(ledger, keep_seconds)
        self.queue = ArrivingQueue(
            f"{ARN_PREFIX}requests", self.source, self.workload, clock.unix_seconds()
        )
        self.cloud = SimulatedCloud(
            self.source,
            {},
            Forecast(),
            pace=self.parameters.pace(),
            events_lost=0.0 if self.settings.queues.events else None,
            on_delete=self._deleted,
            on_receive=self._received,
            on_letter=self._letter,
            requests=self.queue,
            objects=self.objects,
            executor=self._executor,
        )
        for lane, name in zip(scenario.lanes, lane_names(scenario), strict=True):
            self.cloud.add_lane(name, lane.size, lane.max_vcpus)

    def _executor(self, cloud: SimulatedCloud) -> ShardExecutor:
        self.bench = Bench(
            self.workload, self.parameters, self.history, self.objects, cloud.events.send
        )
        return ShardExecutor(self.bench)

    def _received(self, message: Received) -> None:
        index = self.queue.requests.get(message.message_id)
        if message.receive_count > 1 and index is not None:
            self.objects.came_back(request_id(index))

    def _deleted(self, message_id: str) -> None:
        index = self.queue.requests.pop(message_id, None)
        if index is not None:
            self.settled += 1
            self.objects.done(request_id(index), clock.elapsed_seconds())
            if math.isnan(self.history.settled_at[index]):
                self.history.settled_at[index] = clock.elapsed_seconds()

    def _letter(self, _letter: Outgoing) -> None:
        self.history.given_up += 1

    def _living(self) -> list[str]:
        return [
            instance_id
            for environment in self.cloud.model.environments.values()
            for instance_id in environment.instances
        ]

    async def _until(self, over: Callable[[], bool], running: "asyncio.Task[None]") -> None:
        while not over():
            await asyncio.wait([running], timeout=LOOK_SECONDS)
            now = clock.elapsed_seconds()
            if running.done() or now > PATIENCE_SECONDS:
                cause = running.exception() if running.done() else "it takes for ever"
                left = len(self.workload) - self.settled
                raise Unsettled(left, len(self.workload), str(cause))
            self._take_instances(now)
            self.objects.forget(now)
            self.progress(now, self.settled)

    def _take_instances(self, now: float) -> None:
        for name in sorted(self.spot):
            living = list(self.cloud.model.environments[name].instances)
            for instance_id in self.reclaims.lost(living, now):
                self.history.instances_lost += 1
                self.cloud.driver.lose_instance(instance_id)

    def _told(self, line: Line) -> History:
        figures = self.cloud.model.figures(clock.unix_seconds())
        began_at = clock.EPOCH.timestamp()
        self.history.instances = self.bench.cores.lives(figures, began_at, self.spot)
        self.history.submissions = line.calls["batch.SubmitJob"]
        self.history.jobs = figures.jobs_submitted
        self.history.calls = line.calls.total()
        return self.history
