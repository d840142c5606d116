"""The line between one process and the services: slow, lossy, and cut when the process dies."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from daemon.ports import Throttled, Unavailable
from daemon.simulation.clock import elapsed_seconds
from daemon.simulation.weather import Forecast, Weather

T = TypeVar("T")


class Killed(BaseException):
    """The process {name} was killed: nothing of it goes on.

    No `except` of the code under test catches it, as none would run after a SIGKILL.
    """

    def __init__(self, name: str) -> None:
        super().__init__(str(self.__doc__).partition("\n")[0].format(name=name))


class Line:
    """Carries every call of one process.

    `die_at_call` kills it around that call, counted from 1; `on_death` is told.
    """

    def __init__(
        self,
        name: str,
        source: random.Random,
        forecast: Forecast,
        *,
        die_at_call: int | None = None,
        on_death: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.calls: Counter[str] = Counter()
        self._source = source
        self._forecast = forecast
        self._calls_left = die_at_call
        self._on_death = on_death
        self._cut = False

    def cut(self) -> None:
        """The process is dead; its calls come to nothing."""
        self._cut = True

    def weather(self, service: str) -> Weather:
        """The weather now."""
        return self._forecast.at(service, elapsed_seconds())

    def fails(self, probability: float) -> bool:
        """Whether something of that probability happens."""
        return probability > 0 and self._source.random() < probability

    async def call(self, service: str, operation: str, effect: Callable[[], T]) -> T:
        """Have something carried out by a service.

        Raises `Unavailable` before or after the effect, or `Throttled` instead of it.
        """
        self._check()
        self.calls[f"{service}.{operation}"] += 1
        weather = self.weather(service)
        dies_before = dies_after = False
        if self._calls_left is not None:
            self._calls_left -= 1
            if self._calls_left == 0:
                dies_before = self._source.random() < 0.5
                dies_after = not dies_before
        await self._travel(weather)
        if dies_before:
            self._die()
        if self.fails(weather.throttled):
            raise Throttled(service, "Rate exceeded", "Throttling")
        if self.fails(weather.unheard):
            raise Unavailable(service, "no connection")
        answer = effect()
        if dies_after:
            self._die()
        await self._travel(weather)
        if self.fails(weather.unanswered):
            raise Unavailable(service, "no answer")
        return answer

    async def _travel(self, weather: Weather) -> None:
        await asyncio.sleep(self._source.uniform(0, weather.slowest_seconds / 2))
        self._check()

    def _die(self) -> None:
        self._cut = True
        self._on_death()
        raise Killed(self.name)

    def _check(self) -> None:
        if self._cut:
            raise Killed(self.name)
