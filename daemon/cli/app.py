"""The entry point: gathers the subcommands, and turns known errors into a line and an exit code."""

import sys

import typer
from botocore.exceptions import BotoCoreError
from rich.console import Console
from rich.markup import escape

from daemon.aws.deployment.builds import BuildFailed
from daemon.aws.deployment.networks import NoNetwork
from daemon.aws.deployment.stacks import StackFailed
from daemon.cli import daemon, dead_letters, deploy, enqueue, local, simulate, status
from daemon.cli.clone import NoSource
from daemon.cli.problem import Problem
from daemon.lane_check import LaneMismatch
from daemon.ports import ServiceError
from daemon.settings import SettingsError
from daemon.supervision import LoopFailed

app = typer.Typer(
    help="Batch transcription at the price of the chip.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",
)
app.add_typer(local.app, name="local")
app.command("daemon")(daemon.run)
app.command("deploy")(deploy.run)
app.command("enqueue")(enqueue.run)
app.command("simulate")(simulate.run)
app.command("status")(status.run)
app.add_typer(dead_letters.app, name="dead-letters")


TOLD = (
    Problem,
    SettingsError,
    LaneMismatch,
    ServiceError,
    LoopFailed,
    StackFailed,
    BuildFailed,
    NoNetwork,
    NoSource,
    BotoCoreError,
)
"""Errors whose words are for the person who asked."""


def main() -> None:
    """Run the console; a failure that a person can mend is one sentence and exit code 1."""
    try:
        app()
    except TOLD as error:
        words = escape(str(error))
        Console(stderr=True, soft_wrap=True).print(f"[bold red]error:[/] {words}", highlight=False)
        sys.exit(1)
