"""The small cloud with its daemon, until a signal ends it."""

import asyncio
import shlex
import signal
from pathlib import Path

import tomli_w
import typer

from daemon.aws.world import open_world
from daemon.cli.local_run import settings_document
from daemon.dispatcher import Dispatcher
from daemon.embedded.cloud import (
    INPUT_BUCKET,
    LEDGER_BUCKET,
    OUTPUT_BUCKET,
    SmallCloud,
    small_cloud,
)
from daemon.metrics import Metrics
from daemon.monitor import monitor
from daemon.settings import Settings


async def stay_up(model: str, cores: int, work_folder: Path) -> None:
    """Run everything; first print what a client needs, as shell exports."""
    async with small_cloud(cores=cores, model=model, work_folder=work_folder) as cloud:
        document = settings_document(cloud, model)
        settings = Settings(**document)
        queues = settings.queues
        metrics = Metrics()
        async with open_world(
            queues.requests, queues.dead_letters, queues.events, metrics.aws
        ) as world:
            dispatcher = Dispatcher(settings, world, metrics)
            for number in (signal.SIGTERM, signal.SIGINT):
                asyncio.get_running_loop().add_signal_handler(number, dispatcher.stop)
            async with monitor(
                settings.monitor,
                dispatcher.metrics.registry,
                health=dispatcher.unhealthy,
                readiness=dispatcher.unready,
            ) as monitor_url:
                config = work_folder / "daemon.toml"
                config.write_text(tomli_w.dumps(document))
                typer.echo("\n".join(_exports(cloud, monitor_url, config)))
                await dispatcher.run()


def _exports(cloud: SmallCloud, monitor_url: str, config: Path) -> list[str]:
    variables = {
        **cloud.environment,
        "WHISPER_FLEET_CONFIG": str(config),
        "REQUESTS_QUEUE_URL": cloud.requests_url,
        "DEAD_LETTERS_QUEUE_URL": cloud.dead_letters_url,
        "RECORDINGS_BUCKET": INPUT_BUCKET,
        "TRANSCRIPTS_BUCKET": OUTPUT_BUCKET,
        "LEDGER_BUCKET": LEDGER_BUCKET,
        "METRICS_URL": f"{monitor_url}/metrics",
    }
    return [f"export {name}={shlex.quote(value)}" for name, value in variables.items()]
