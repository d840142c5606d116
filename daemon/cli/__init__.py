"""`whisper-fleet`: the console, one file per subcommand."""

from daemon.cli.app import main

__all__ = ["main"]
