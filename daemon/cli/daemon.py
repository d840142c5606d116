"""`whisper-fleet daemon`: the dispatcher, until SIGTERM."""

import asyncio
import signal

import structlog

from daemon import logs
from daemon.aws.world import open_world
from daemon.cli.options import DEFAULT_CONFIG, ConfigFile
from daemon.dispatcher import Dispatcher
from daemon.metrics import Metrics
from daemon.monitor import monitor
from daemon.settings import Settings, load
from daemon.systemd import kept_informed

log = structlog.get_logger()


def run(config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Run the dispatcher: take requests from SQS, order work from Batch, settle it.

    Credentials, region and endpoints come from the usual AWS variables. SIGTERM and Ctrl-C stop it
    gracefully: what it holds is visible in the queue again at once. Under systemd, Type=notify and
    WatchdogSec= are understood.

    Example: `whisper-fleet daemon --config config/daemon.toml`
    """
    settings = load(config)
    logs.configure()
    if not settings.security.allowed_inputs:
        log.warning(
            "inputs_unrestricted",
            detail="security.allowed_inputs is empty: producers may name all that the role of the "
            "jobs may read",
        )
    asyncio.run(serve(settings))


async def serve(settings: Settings) -> None:
    """Run a dispatcher with its monitor until a signal stops it."""
    metrics = Metrics()
    queues = settings.queues
    async with open_world(
        queues.requests, queues.dead_letters, queues.events, metrics.aws
    ) as world:
        dispatcher = Dispatcher(settings, world, metrics)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, dispatcher.stop)
        async with (
            kept_informed(dispatcher),
            monitor(
                settings.monitor,
                dispatcher.metrics.registry,
                health=dispatcher.unhealthy,
                readiness=dispatcher.unready,
            ),
        ):
            await dispatcher.run()
