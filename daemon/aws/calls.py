"""Calls to AWS: each at its API's rate, made again where that can help, and counted."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

from daemon.aws.rate import CEILINGS, Rate
from daemon.aws.retrying import NoTurn, overloaded, retrying

T = TypeVar("T")

BUDGET_SECONDS = 30.0
"""How long one call is tried; the loops above come round again on their own."""


class Observer(Protocol):
    """Is told of every call, for metrics."""

    def called(self, service: str, operation: str, seconds: float) -> None:
        """A call was made and took so long, whatever came of it."""

    def throttled(self, service: str, operation: str) -> None:
        """The service asked for fewer calls."""

    def retried(self, service: str, operation: str) -> None:
        """A call that failed is made again."""


class Unwatched:
    """The observer of calls that nobody counts."""

    def called(self, service: str, operation: str, seconds: float) -> None:
        """Nothing."""

    def throttled(self, service: str, operation: str) -> None:
        """Nothing."""

    def retried(self, service: str, operation: str) -> None:
        """Nothing."""


class Calls:
    """All calls of one process: whoever is throttled, every caller of that API slows down."""

    def __init__(
        self,
        observer: Observer | None = None,
        ceilings: Mapping[tuple[str, str], float] = CEILINGS,
    ) -> None:
        self._observer = observer or Unwatched()
        self._rates = {
            (service, operation): Rate(service, operation, per_second)
            for (service, operation), per_second in ceilings.items()
        }

    async def make(
        self,
        service: str,
        operation: str,
        call: Callable[[], Awaitable[T]],
        *,
        repeatable: bool = True,
    ) -> T:
        """Make a call until it succeeds, for at most `BUDGET_SECONDS`, waits in line included.

        A call that must not be made twice is not `repeatable`: it is made again only after a
        throttle, which says that it was not heard. Raises `Throttled` when the budget is spent and
        the call was surely not heard, `Unavailable` when it may have been, and `Refused` when
        trying again cannot help.
        """
        deadline = asyncio.get_running_loop().time() + BUDGET_SECONDS
        return await retrying(
            service,
            operation,
            partial(self._attempt, service, operation, call, deadline),
            deadline,
            partial(self._observer.retried, service, operation),
            repeatable=repeatable,
        )

    async def _attempt(
        self, service: str, operation: str, call: Callable[[], Awaitable[T]], deadline: float
    ) -> T:
        rate = self._rates[service, operation]
        try:
            async with asyncio.timeout_at(deadline):
                await rate.turn()
        except TimeoutError:
            raise NoTurn(operation) from None
        loop = asyncio.get_running_loop()
        called_at = loop.time()
        try:
            answer = await call()
        except Exception as error:
            if overloaded(error):
                rate.slow_down(called_at)
                self._observer.throttled(service, operation)
            raise
        finally:
            self._observer.called(service, operation, loop.time() - called_at)
        rate.speed_up()
        return answer
