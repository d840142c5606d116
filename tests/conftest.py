import asyncio


def pytest_configure() -> None:
    """pytest-asyncio keeps the loop it finds before its own, and makes one where nobody said that
    there is none; that one is never closed, which some later test is blamed for.
    """
    asyncio.set_event_loop(None)
