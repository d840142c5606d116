"""Runs the attempts at shards: image, container, model, then the shard, asleep most of the time."""

import asyncio
from contextlib import suppress

from daemon.embedded.batch.effects import Run, StopSignal
from daemon.embedded.batch.executor import Exit
from daemon.orders import ORDER_VARIABLE
from daemon.simulation.bench import Bench
from daemon.simulation.clock import elapsed_seconds
from daemon.simulation.shards import Shard
from daemon.simulation.workers import KILLED
from neuron_worker.contract import ExitCode, Ledger, S3Uri


class ShardExecutor:
    """Runs attempts; the `Executor` of a simulated fleet."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench

    async def start(self, run: Run) -> "ShardAttendant":
        """Pull the image if need be, and start the container."""
        await asyncio.sleep(self._bench.start_seconds(run.instance_id, elapsed_seconds()))
        return ShardAttendant(self._bench, run)

    async def close(self) -> None:
        """There is nothing to stop: attempts are their own waiters' tasks."""


class ShardAttendant:
    """One attempt under way; `wait` is its life."""

    def __init__(self, bench: Bench, run: Run) -> None:
        self._bench = bench
        self._run = run
        self._began_at = elapsed_seconds()
        self._signalled = asyncio.Event()
        self._shard: Shard | None = None
        self._end: Exit | None = None

    async def wait(self) -> Exit:
        """Load the model, work through the shard; how the process ends."""
        load_seconds = self._bench.parameters.profile(self._profile).load_seconds
        await self._sleep_until(self._began_at + load_seconds)
        if self._end is None:
            self._end = self._open()
        while self._end is None and self._shard is not None:
            await self._sleep_until(self._shard.wakes_at(elapsed_seconds()))
            if self._end is None:
                self._end = self._shard.advance(elapsed_seconds())
                self._shard.write()
        core = (self._run.instance_id, self._run.core)
        self._bench.cores.add(*core, self._began_at, elapsed_seconds())
        return self._end or KILLED

    def signal(self, stop_signal: StopSignal) -> None:
        """End the worker, with its last words in the store."""
        if self._end is not None:
            return
        self._end = KILLED if stop_signal is StopSignal.KILL else Exit(ExitCode.INTERRUPTED)
        if self._shard is not None:
            over = self._shard.advance(elapsed_seconds())
            self._shard.stop(elapsed_seconds(), killed=stop_signal is StopSignal.KILL)
            self._end = over or self._end
        self._signalled.set()

    @property
    def _profile(self) -> str:
        return self._bench.workload.scenario.profile

    def _open(self) -> Exit | None:
        uri = S3Uri.parse(self._run.environment[ORDER_VARIABLE])
        order = self._bench.order(uri)
        if order is None:
            return Exit(ExitCode.ORDER_UNREADABLE)
        self._shard = Shard(
            self._bench,
            self._run,
            order,
            Ledger.holding(uri),
            self._began_at,
            elapsed_seconds(),
        )
        end = self._shard.advance(elapsed_seconds())
        self._shard.write()
        return end

    async def _sleep_until(self, at_seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, at_seconds - elapsed_seconds())):
                await self._signalled.wait()
