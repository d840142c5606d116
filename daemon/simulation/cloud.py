"""The simulated cloud: queues, store and Batch for any number of daemons, on virtual time."""

import random
from collections.abc import Callable, Mapping
from typing import Any

from daemon.aws.batch import AwsBatch
from daemon.catalogue import InstanceType
from daemon.embedded.batch.arns import Arns
from daemon.embedded.batch.driver import Driver
from daemon.embedded.batch.executor import Executor
from daemon.embedded.batch.job_events import job_state_change
from daemon.embedded.batch.model import BatchModel
from daemon.embedded.batch.operations import perform
from daemon.embedded.batch.pace import Pace
from daemon.embedded.event_rule import job_end_rule
from daemon.embedded.sqs.mishaps import Mishaps
from daemon.embedded.sqs.queue import DeadLetters, Queue
from daemon.ports import Outgoing, Received, World
from daemon.simulation.batch import ModelClient
from daemon.simulation.clock import unix_seconds
from daemon.simulation.line import Line
from daemon.simulation.queue import SharedQueue, SimulatedQueue
from daemon.simulation.store import Objects, SimulatedStore
from daemon.simulation.weather import Forecast
from daemon.simulation.workers import Recording, SimulatedExecutor, Workshop

RECEIVES_MAX = 1_000
"""The queue's own redrive must never beat the daemon's attempts."""

ARN_PREFIX = "arn:aws:sqs:us-east-1:000000000000:"


class SimulatedCloud:
    """Everything that the processes share.

    `source` decides all that happens by chance. `on_delete` is told the id of each request message
    that is deleted, before it is; `on_receive` of each that is handed out, `on_letter` of each dead
    letter. `events_lost` is the probability
    that an event does not reach the events queue; None: Batch sends none. `requests`, `objects` and
    `executor` take the places of the ones made here.
    """

    def __init__(
        self,
        source: random.Random,
        recordings: Mapping[str, Recording],
        forecast: Forecast,
        *,
        pace: Pace,
        mishaps: Mishaps | None = None,
        in_flight_max: int = 120_000,
        events_lost: float | None = None,
        container_starts: Callable[[], bool] = lambda: True,
        on_delete: Callable[[str], None] = lambda _: None,
        on_receive: Callable[[Received], None] = lambda _: None,
        on_letter: Callable[[Outgoing], None] = lambda _: None,
        requests: Queue | None = None,
        objects: Objects | None = None,
        executor: Callable[["SimulatedCloud"], Executor] | None = None,
    ) -> None:
        def queue(name: str, mishaps: Mishaps | None = None) -> Queue:
            return Queue(ARN_PREFIX + name, source, mishaps=mishaps, in_flight_max=in_flight_max)

        self.source = source
        self.objects = Objects() if objects is None else objects
        self.requests = SharedQueue(requests or queue("requests", mishaps))
        self.dead_letters = SharedQueue(queue("dead-letters"), on_letter)
        self.events = SharedQueue(
            queue("events"), lost=lambda: source.random() < (events_lost or 0.0)
        )
        self.requests.model.dead_letters = DeadLetters(self.dead_letters.model, RECEIVES_MAX)
        self.workshop = Workshop(
            recordings=recordings,
            store=lambda line: SimulatedStore(self.objects, line),
            events=lambda line: SimulatedQueue(self.events, line),
            line=self.line,
            source=source,
            starts=container_starts,
        )
        self._forecast = forecast
        self._on_delete = on_delete
        self._on_receive = on_receive
        arns = Arns()
        rule = job_end_rule(self._event, "events")
        self.model = BatchModel(pace, arns, source, reports_changes=events_lost is not None)
        self.driver = Driver(
            self.model,
            SimulatedExecutor(self.workshop) if executor is None else executor(self),
            unix_seconds,
            lambda changed: rule(job_state_change(changed, arns, "event")),
        )

    def add_lane(self, name: str, size: InstanceType, max_vcpus: int, attempts: int = 3) -> None:
        """A compute environment, a job queue and a job definition of one name."""
        self._perform(
            "CreateComputeEnvironment",
            computeEnvironmentName=name,
            type="MANAGED",
            computeResources={
                "type": "SPOT",
                "minvCpus": 0,
                "maxvCpus": max_vcpus,
                "instanceTypes": [size.name],
                "subnets": ["subnet"],
                "instanceRole": "role",
            },
        )
        self._perform(
            "CreateJobQueue",
            jobQueueName=name,
            priority=1,
            computeEnvironmentOrder=[{"order": 1, "computeEnvironment": name}],
        )
        self._perform(
            "RegisterJobDefinition",
            jobDefinitionName=name,
            type="container",
            containerProperties={
                "image": "worker",
                "command": ["worker"],
                "resourceRequirements": [
                    {"type": "VCPU", "value": str(size.slot_vcpus)},
                    {"type": "MEMORY", "value": str(size.slot_memory_mib)},
                ],
            },
            retryStrategy={
                "attempts": attempts,
                "evaluateOnExit": [
                    {"action": "RETRY", "onStatusReason": "Host EC2*"},
                    {"action": "EXIT", "onReason": "*"},
                ],
            },
            timeout={"attemptDurationSeconds": 6 * 3600},
        )

    def _event(self, _queue_arn: str, body: str) -> None:
        self.events.send(Outgoing(body))

    def _perform(self, operation: str, **request: Any) -> None:
        perform(self.model, operation, request, 0, unix_seconds())

    def line(
        self,
        name: str,
        *,
        die_at_call: int | None = None,
        on_death: Callable[[], None] = lambda: None,
    ) -> Line:
        """A new process's line to the services."""
        return Line(name, self.source, self._forecast, die_at_call=die_at_call, on_death=on_death)

    def world(self, line: Line) -> World:
        """The dispatcher's ports, by one process's line."""
        return World(
            requests=SimulatedQueue(self.requests, line, self._on_delete, self._on_receive),
            dead_letters=SimulatedQueue(self.dead_letters, line),
            store=SimulatedStore(self.objects, line),
            batch=AwsBatch(ModelClient(self.driver, line)),
            events=SimulatedQueue(self.events, line),
        )

    def living_instances(self) -> list[str]:
        """The ids of all instances that are up or boot."""
        return [
            figures.instance_id
            for figures in self.model.figures(unix_seconds()).instances
            if figures.ended_at is None
        ]

    async def close(self) -> None:
        """Stop all workers."""
        await self.driver.close()
