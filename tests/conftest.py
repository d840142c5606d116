import asyncio
import signal

from hypothesis import settings

settings.register_profile("steady", derandomize=True)
settings.load_profile("steady")
"""The same examples in every run; `pytest --hypothesis-profile default` looks for others."""


def pytest_configure() -> None:
    """pytest-asyncio keeps the loop it finds before its own, and makes one where nobody said that
    there is none; that one is never closed, which some later test is blamed for.

    A shell's background job ignores SIGINT, and so would the programs that tests interrupt.
    """
    asyncio.set_event_loop(None)
    signal.signal(signal.SIGINT, signal.default_int_handler)
