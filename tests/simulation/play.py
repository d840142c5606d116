"""Plays a scenario: real daemons, producers and disasters on virtual time."""

import asyncio
import random
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import structlog

from daemon.catalogue import instance_type
from daemon.dispatcher import Dispatcher
from daemon.ports import Outgoing
from daemon.simulation import clock
from daemon.simulation.cloud import SimulatedCloud
from daemon.simulation.line import Line
from tests.simulation import trace
from tests.simulation.audit import Audit
from tests.simulation.scenario import LANE, Life, Scenario, draw

log = structlog.get_logger()

PATIENCE_SECONDS = 3 * 3_600.0
"""After the last trouble is over, everything has to be settled within this."""

LOOK_SECONDS = 60.0
STOP_SECONDS = 400.0


@dataclass(slots=True)
class Played:
    """How a scenario ended. `problems` are broken promises, one line each."""

    seed: int
    problems: list[str] = field(default_factory=list)
    virtual_seconds: float = 0.0
    daemons: int = 0
    requests: int = 0
    jobs: int = 0
    repeated_share: float = 0.0
    calls: int = 0
    digest: str = ""
    """Of all that was written to the ledger: the same for the same seed."""


def play(scenario: Scenario) -> Played:
    """Play a scenario to its end; the same one always plays the same."""
    # tenacity draws its jitter from the module's own source.
    random.seed(scenario.seed)
    return clock.run(_Play(scenario).run())


def play_seed(seed: int, requests: int) -> Played:
    """Play a seed in silence."""
    trace.be_silent()
    return play(draw(seed, requests))


class _Play:
    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.source = random.Random(scenario.seed + 1)
        self.played = Played(scenario.seed)

    async def run(self) -> Played:
        scenario = self.scenario
        self.audit = Audit(scenario)
        self.cloud = SimulatedCloud(
            self.source,
            scenario.recordings,
            scenario.forecast,
            pace=scenario.pace,
            mishaps=scenario.mishaps,
            events_lost=scenario.events_lost,
            container_starts=self._image_is_there,
            on_delete=self.audit.deleted,
            on_receive=self.audit.received,
            on_letter=self.audit.letter,
        )
        self.audit.cloud = self.cloud
        lane = scenario.settings.lanes[0]
        self.cloud.add_lane(LANE, instance_type(lane.instance_type), lane.max_vcpus)
        outside = [asyncio.create_task(trouble) for trouble in self._troubles()]
        lives = [
            asyncio.create_task(self._live(f"daemon-{number}", start, lives))
            for number, (start, lives) in enumerate(scenario.lives)
        ]
        try:
            await asyncio.gather(*lives)
            await self._last_life()
        finally:
            for task in (*outside, *lives):
                task.cancel()
            await asyncio.gather(*outside, *lives, return_exceptions=True)
            await self.cloud.close()
        return self._told()

    def _troubles(self) -> Iterator[Coroutine[Any, Any, None]]:
        """Everything that happens to the daemons from outside."""
        yield self._produce()
        yield self._take_instances()
        yield self._jump()
        for span in self.scenario.droughts:
            yield self._fault(span, self._out_of_capacity)
        for span in self.scenario.invalid:
            yield self._fault(span, self._invalid)

    def _told(self) -> Played:
        played = self.played
        played.problems += self.audit.problems(played.daemons)
        played.virtual_seconds = clock.elapsed_seconds()
        played.requests = len(self.audit.request_ids)
        played.jobs = self.audit.jobs()
        played.repeated_share = self.audit.repeated_share()
        played.digest = self.audit.digest()
        return played

    def _image_is_there(self) -> bool:
        at = clock.elapsed_seconds()
        return not any(start <= at < end for start, end in self.scenario.image_missing)

    async def _produce(self) -> None:
        for sent in self.scenario.sent:
            await _sleep_until(sent.at_seconds)
            self.audit.sent(self.cloud.requests.send(Outgoing(sent.body)), sent)

    async def _take_instances(self) -> None:
        for at_seconds in sorted(self.scenario.spot_losses):
            await _sleep_until(at_seconds)
            living = self.cloud.living_instances()
            if living:
                self.cloud.driver.lose_instance(self.source.choice(living))

    async def _jump(self) -> None:
        for at_seconds, jump_seconds in sorted(self.scenario.clock_jumps):
            await _sleep_until(at_seconds)
            self.cloud.requests.skew_seconds += jump_seconds

    async def _fault(self, span: tuple[float, float], switch: Callable[[bool], None]) -> None:
        start_seconds, end_seconds = span
        await _sleep_until(start_seconds)
        switch(True)
        await _sleep_until(end_seconds)
        switch(False)

    def _out_of_capacity(self, out: bool) -> None:
        self.cloud.model.set_out_of_capacity(LANE, out, clock.unix_seconds())
        self.cloud.driver.step()

    def _invalid(self, invalid: bool) -> None:
        reason = "CLIENT_ERROR - Access denied" if invalid else None
        self.cloud.model.set_invalid(LANE, reason, clock.unix_seconds())
        self.cloud.driver.step()

    async def _live(self, name: str, start_seconds: float, lives: tuple[Life, ...]) -> None:
        await _sleep_until(start_seconds)
        for life in lives:
            await self._one_life(name, life)
            await asyncio.sleep(life.pause_seconds)

    async def _one_life(self, name: str, life: Life) -> None:
        died = asyncio.Event()
        line = self.cloud.line(name, die_at_call=life.die_at_call, on_death=died.set)
        dispatcher = self._dispatcher(line)
        running = asyncio.create_task(dispatcher.run(), name=name)
        death = asyncio.create_task(died.wait(), name=f"{name} death")
        log.info("daemon_began", daemon=name, life=life)
        await asyncio.wait(
            [running, death], timeout=life.seconds, return_when=asyncio.FIRST_COMPLETED
        )
        death.cancel()
        if running.done() and not died.is_set():
            self._blame_daemon(name, running)
        if life.graceful and not running.done():
            dispatcher.stop()
            await asyncio.wait([running, death], timeout=STOP_SECONDS)
            if not running.done():
                self.played.problems.append(f"{name} did not stop within {STOP_SECONDS:g} s")
            elif not died.is_set():
                self._blame_daemon(name, running)
        line.cut()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self.played.calls += line.calls.total()
        log.info("daemon_ended", daemon=name)

    async def _last_life(self) -> None:
        """A last daemon that nobody kills, until nothing is owed any more."""
        line = self.cloud.line("the last daemon")
        dispatcher = self._dispatcher(line)
        running = asyncio.create_task(dispatcher.run(), name="last daemon")
        deadline = max(clock.elapsed_seconds(), self.scenario.trouble_ends_at) + PATIENCE_SECONDS
        while not self.audit.is_over() and clock.elapsed_seconds() < deadline:
            await asyncio.wait([running], timeout=LOOK_SECONDS)
            if running.done():
                break
        dispatcher.stop()
        await asyncio.wait([running], timeout=300)
        if running.done():
            self._blame_daemon("the last daemon", running)
        else:
            self.played.problems.append("the last daemon did not stop")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        self.played.calls += line.calls.total()

    def _dispatcher(self, line: Line) -> Dispatcher:
        self.played.daemons += 1
        return Dispatcher(
            self.scenario.settings,
            self.cloud.world(line),
            clock=clock.now,
            source=random.Random(self.source.getrandbits(64)),
        )

    def _blame_daemon(self, name: str, running: "asyncio.Task[None]") -> None:
        error = None if running.cancelled() else running.exception()
        if error is not None:
            self.played.problems.append(f"{name} ended: {type(error).__name__}: {error}")


async def _sleep_until(at_seconds: float) -> None:
    await asyncio.sleep(max(0.0, at_seconds - clock.elapsed_seconds()))
