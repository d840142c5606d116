import asyncio

# pytest-asyncio asks for the current loop around its own, and Python 3.11 would make one for it
# that nobody closes, unless it has been said that there is none.
asyncio.set_event_loop(None)
