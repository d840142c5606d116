"""The daemon's HTTP port: `/metrics` for Prometheus, `/healthz` and `/readyz` for its keeper."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.aiohttp import make_aiohttp_handler

from daemon.settings import MonitorSettings

log = structlog.get_logger()

Check = Callable[[], str | None]
"""Returns what is wrong, in words, or None."""


@asynccontextmanager
async def monitor(
    settings: MonitorSettings, registry: CollectorRegistry, *, health: Check, readiness: Check
) -> AsyncIterator[str]:
    """Serve while the block runs; gives the base URL.

    `/healthz` is red when the process should be restarted, `/readyz` when AWS is out of reach.
    """
    app = web.Application()
    app.router.add_get("/metrics", make_aiohttp_handler(registry))
    app.router.add_get("/healthz", _answer(health))
    app.router.add_get("/readyz", _answer(readiness))
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port)
        await site.start()
        url = f"http://{settings.host}:{runner.addresses[0][1]}"
        log.info("monitor_listening", url=url)
        yield url
    finally:
        await runner.cleanup()


def _answer(check: Check) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        wrong = check()
        return web.Response(text=wrong or "ok", status=503 if wrong else 200)

    return answer
