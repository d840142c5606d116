import asyncio


def pytest_configure() -> None:
    """Say that there is no event loop yet, or who first looks for one makes one and leaves it."""
    asyncio.set_event_loop(None)
