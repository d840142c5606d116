"""`whisper-fleet status`: where a request stands."""

import asyncio
from typing import Annotated

import typer
from rich.console import Console

from daemon.aws.world import open_world
from daemon.cli.options import DEFAULT_CONFIG, ConfigFile
from daemon.ports import QueueDepth
from daemon.settings import Settings, load
from daemon.status import Stage, Standing, Watcher
from neuron_worker.contract import Ledger, S3Uri

RequestIdArgument = Annotated[
    str, typer.Argument(help="As `enqueue` printed it.", metavar="REQUEST_ID")
]


def run(request_id: RequestIdArgument, config: ConfigFile = DEFAULT_CONFIG) -> None:
    """Show where a request stands: in the queue, in an order, done, or given up and why.

    Example: `whisper-fleet status board-meeting-7f3a`

    Exit code: 0 when it is done or on its way, 2 when it was given up or its record is torn.
    """
    standing, depth = asyncio.run(_look(load(config), request_id))
    console = Console(soft_wrap=True, highlight=False)
    for line in described(standing):
        console.print(line, markup=False)
    if standing.stage is Stage.UNSEEN:
        console.print(f"  queue: {depth.visible} waiting, {depth.in_flight} taken by a daemon")
    if standing.stage in (Stage.DEAD_LETTERED, Stage.UNKNOWN):
        raise typer.Exit(2)


async def _look(settings: Settings, request_id: str) -> tuple[Standing, QueueDepth]:
    queues = settings.queues
    async with open_world(queues.requests, queues.dead_letters) as world:
        ledger = Ledger(S3Uri.parse(settings.locations.ledger))
        [standing] = await Watcher(world.store, ledger, [request_id]).look()
        return standing, await world.requests.depth()


def described(standing: Standing) -> list[str]:
    """What is known of a request, as lines of text."""
    lines = [f"{standing.request_id}: {standing.stage}"]
    if standing.order_id:
        lines.append(f"  order: {standing.order_id}")
    if standing.stage is Stage.RUNNING:
        total = "?" if standing.audio_seconds is None else f"{standing.audio_seconds:.0f}"
        lines.append(f"  progress: {standing.seconds_done:.0f} of {total} s")
    outcome = standing.outcome
    if outcome is not None and outcome.reason:
        lines.append(f"  reason: {outcome.reason}")
    if standing.detail:
        lines.append(f"  detail: {standing.detail}")
    if outcome is not None and outcome.transcripts:
        lines.append(f"  audio: {outcome.audio_seconds:.1f} s, language {outcome.language}")
        lines += [f"  {name}: {uri}" for name, uri in outcome.transcripts.items()]
        lines += [f"  warning: {warning}" for warning in outcome.warnings]
    return lines
