"""Virtual time: an event loop that does not wait, but jumps to whatever is due next."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from looptime import LoopTimeEventLoop

T = TypeVar("T")

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""When every simulation begins."""


class VirtualLoop(LoopTimeEventLoop, asyncio.SelectorEventLoop):
    """A loop on virtual time."""


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end, as `asyncio.run` does, without waiting."""
    # Nothing comes from outside the loop, so it need not idle before it moves the time.
    with asyncio.Runner(loop_factory=partial(VirtualLoop, noop_cycles=0)) as runner:
        return runner.run(main)


def elapsed_seconds() -> float:
    """Virtual seconds since the simulation began."""
    return asyncio.get_running_loop().time()


def now() -> datetime:
    """The dispatcher's clock."""
    return EPOCH + timedelta(seconds=elapsed_seconds())


def unix_seconds() -> float:
    """The services' clock."""
    return EPOCH.timestamp() + elapsed_seconds()
