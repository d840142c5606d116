"""Where and when jobs run: queues over compute environments, instances that come and go."""

from collections.abc import Callable, Iterable
from functools import partial

from daemon.embedded.batch.agenda import Agenda
from daemon.embedded.batch.arns import Ids
from daemon.embedded.batch.figures import InstanceFigures
from daemon.embedded.batch.fleet import Capacity, ComputeEnvironment, Instance
from daemon.embedded.batch.jobs import Attempt, Job
from daemon.embedded.batch.pace import Pace
from daemon.embedded.batch.queues import JobQueue
from daemon.embedded.batch.scaling import Demand, Launch, blocked_reason, plan_launches

Place = Callable[[Job, ComputeEnvironment, Instance, float], None]
"""Puts a job on an instance that has room for it, at the present time."""


class Scheduler:
    """Gives RUNNABLE jobs their slots, launches instances for them, lets idle ones go."""

    def __init__(self, pace: Pace, ids: Ids, agenda: Agenda, place: Place) -> None:
        self.environments: dict[str, ComputeEnvironment] = {}
        self.queues: dict[str, JobQueue] = {}
        self._past: list[Instance] = []
        self._pace = pace
        self._ids = ids
        self._agenda = agenda
        self._place = place

    def turn(self, now_seconds: float) -> None:
        """Place what can be placed, then launch what is missing.

        Queues of higher priority come first. What this costs grows with the jobs placed and the
        instances launched, not with the jobs that wait.
        """
        queues = sorted(self.queues.values(), key=lambda queue: -queue.priority)
        demands: list[Demand] = []
        for queue in queues:
            if self._place_from(queue, now_seconds):
                continue
            demands += (
                Demand(shape, jobs, queue.environments) for shape, jobs in queue.waiting.items()
            )
        for launch in plan_launches(demands, self.environments.values()):
            self.launch(launch, now_seconds)

    def _place_from(self, queue: JobQueue, now_seconds: float) -> bool:
        """Place from the head on; answers whether a job that cannot be placed blocks the queue."""
        while (job := queue.head()) is not None:
            for environment in queue.environments:
                instance = environment.room_for(job.shape)
                if instance is not None:
                    queue.take_head()
                    if instance.timer is not None:
                        instance.timer.cancel()
                    self._place(job, environment, instance, now_seconds)
                    break
            else:
                job.status_reason = blocked_reason(job.shape, queue.environments)
                return job.status_reason is not None
        return False

    def launch(self, launch: Launch, now_seconds: float) -> None:
        """Have instances boot."""
        environment = launch.environment
        for _ in range(launch.instances):
            instance = Instance(self._ids.instance(), launch.size, environment.name, now_seconds)
            environment.launch(instance)
            due_seconds = now_seconds + self._pace.boot_seconds
            instance.timer = self._agenda.at(due_seconds, partial(self._boot, instance))
        self._reconsider_held(environment, now_seconds)

    def _boot(self, instance: Instance, now_seconds: float) -> None:
        self.environments[instance.environment].ready(instance, now_seconds)
        self._release_at(instance, now_seconds + self._pace.idle_seconds)

    def start_clock(self, attempt: Attempt, now_seconds: float) -> None:
        """Count a core as busy from now on."""
        instance = self.environments[attempt.environment].instances[attempt.instance_id]
        instance.busy_since[attempt.core] = now_seconds

    def leave(self, attempt: Attempt, now_seconds: float) -> None:
        """Take the slot of an attempt back."""
        environment = self.environments[attempt.environment]
        instance = environment.instances[attempt.instance_id]
        instance.stop_clock(attempt.core, now_seconds)
        environment.leave(instance, attempt.core)
        if not instance.jobs:
            self._release_at(instance, now_seconds + self._pace.idle_seconds)

    def _release_at(self, instance: Instance, due_seconds: float) -> None:
        instance.timer = self._agenda.at(due_seconds, partial(self._release, instance))

    def _release(self, instance: Instance, now_seconds: float) -> None:
        environment = self.environments[instance.environment]
        if environment.vcpus - instance.size.vcpus < environment.capacity.min_vcpus:
            environment.held[instance.instance_id] = instance
        else:
            self.end(instance, now_seconds)

    def end(self, instance: Instance, now_seconds: float) -> None:
        """Let an instance without jobs go."""
        if instance.timer is not None:
            instance.timer.cancel()
        self.environments[instance.environment].end(instance, now_seconds)
        self._past.append(instance)

    def set_capacity(
        self, environment: ComputeEnvironment, capacity: Capacity, now_seconds: float
    ) -> None:
        """Move an environment's bounds; instances above a lowered bound leave once idle."""
        environment.capacity = capacity
        self._reconsider_held(environment, now_seconds)

    def raise_to(
        self, environment: ComputeEnvironment, desired_vcpus: int, now_seconds: float
    ) -> None:
        """Launch up to so many vCPUs, as far as the upper bound allows."""
        for launch in plan_launches([], [environment], desired_vcpus):
            self.launch(launch, now_seconds)

    def _reconsider_held(self, environment: ComputeEnvironment, now_seconds: float) -> None:
        for instance in environment.held.values():
            self._release_at(instance, now_seconds + self._pace.idle_seconds)
        environment.held.clear()

    def find_instance(self, instance_id: str) -> Instance | None:
        """The living instance of this id."""
        for environment in self.environments.values():
            if instance_id in environment.instances:
                return environment.instances[instance_id]
        return None

    def instance_figures(self, now_seconds: float) -> Iterable[InstanceFigures]:
        """Every instance there ever was, those gone first."""
        living = (
            instance
            for environment in self.environments.values()
            for instance in environment.instances.values()
        )
        for instance in (*self._past, *living):
            running = instance.busy_since
            yield InstanceFigures(
                instance_id=instance.instance_id,
                instance_type=instance.size.name,
                compute_environment=instance.environment,
                launched_at=instance.launched_at,
                ready_at=instance.ready_at,
                ended_at=instance.ended_at,
                core_busy_seconds=tuple(
                    seconds + (now_seconds - running[core] if core in running else 0.0)
                    for core, seconds in enumerate(instance.busy_seconds)
                ),
            )
