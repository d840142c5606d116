"""Who is measured, and the run of one of them."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.dispatch_bench.process import Process
from tests.dispatch_bench.report import Run
from tests.dispatch_bench.services import REQUESTS, SETTINGS_FILE, Services, open_services

LOOK_SECONDS = 0.01
"""How often the services are looked at: the ticks in which the kernel counts CPU time."""

RUN_MAX_SECONDS = 1_800.0
"""A contender that takes longer hangs."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A program that takes requests from the queue and sees that Batch works on them."""

    name: str
    command: Callable[[Services], Sequence[str]]


class HangingError(Exception):
    """{name} was not done after {seconds:g} s"""

    def __init__(self, name: str) -> None:
        super().__init__(str(self.__doc__).format(name=name, seconds=RUN_MAX_SECONDS))


def daemon_command(_: Services) -> Sequence[str]:
    """The dispatcher, as it is shipped."""
    return [sys.executable, "-m", "daemon", "daemon", "--config", str(SETTINGS_FILE)]


def _loop_command(*more: str) -> Callable[[Services], Sequence[str]]:
    def command(services: Services) -> Sequence[str]:
        lane = services.settings.lanes[0]
        given = {
            "--queue-url": services.queue_url(REQUESTS),
            "--job-queue": lane.job_queue,
            "--job-definition": lane.job_definition,
        }
        arguments = [word for pair in given.items() for word in pair]
        return [sys.executable, "-m", "tests.dispatch_bench.alternative", *arguments, *more]

    return command


DAEMON = Contender("this daemon", daemon_command)
LOOP = Contender("boto3 loop", _loop_command("--delete-in-batches"))
LOOP_ONE_BY_ONE = Contender("boto3 loop, deleting one by one", _loop_command())

CONTENDERS = (DAEMON, LOOP, LOOP_ONE_BY_ONE)


def bodies(count: int) -> Iterator[str]:
    """Request messages, as a producer of call recordings sends them."""
    for number in range(count):
        yield json.dumps(
            {
                "audio": f"s3://example-whisper-fleet-recordings/calls/2026/11/{number:07d}.wav",
                "request_id": f"call-2026-11-{number:07d}",
                "language": "en",
                "metadata": {"customer": number % 977, "agent": f"agent-{number % 53}"},
            }
        )


async def measure(contender: Contender, requests: int, repetition: int, folder: Path) -> Run:
    """Let a contender work off so many requests.

    It is done when the queue is empty and no order is open. Raises `ProcessEnded`, `HangingError`.
    """
    async with open_services(folder) as services:
        services.send(bodies(requests))
        log = folder / "log"
        process = Process(contender.command(services), services.environment, log)
        try:
            async with asyncio.timeout(RUN_MAX_SECONDS):
                return await _watch(contender, requests, repetition, services, process)
        except TimeoutError:
            raise HangingError(contender.name) from None
        finally:
            await asyncio.to_thread(process.stop)


async def _watch(
    contender: Contender, requests: int, repetition: int, services: Services, process: Process
) -> Run:
    async def until(reached: Callable[[], bool]) -> None:
        while not reached():
            process.check()
            await asyncio.sleep(LOOK_SECONDS)

    began = time.monotonic()
    await until(lambda: services.calls["sqs", "ReceiveMessage"] > 0)
    start_cpu_seconds = process.cpu_seconds
    resident_mib = {}
    for settled in (requests // 4, requests // 2, requests):
        await until(lambda: sum(_left(services)) <= requests - settled)  # noqa: B023
        resident_mib[settled] = process.resident_mib
    await until(lambda: services.open_orders == 0)
    return Run(
        contender=contender.name,
        repetition=repetition,
        requests=requests,
        start_cpu_seconds=start_cpu_seconds,
        cpu_seconds=process.cpu_seconds,
        seconds=time.monotonic() - began,
        resident_mib=resident_mib,
        calls={f"{service} {operation}": n for (service, operation), n in services.calls.items()},
    )


def _left(services: Services) -> tuple[int, int]:
    counts = services.waiting
    return counts.visible, counts.in_flight
