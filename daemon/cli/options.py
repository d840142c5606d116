"""Options that several subcommands share."""

from pathlib import Path
from typing import Annotated

import typer

from daemon.cli.problem import Problem
from neuron_worker.contract import TranscriptFormat

ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config",
        envvar="WHISPER_FLEET_CONFIG",
        help="The daemon's settings, as in `config/daemon.toml`.",
    ),
]

DEFAULT_CONFIG = Path("config/daemon.toml")

Formats = Annotated[
    str, typer.Option(help="Comma-separated: txt, json, srt, vtt, tsv.", metavar="LIST")
]


def parse_formats(text: str) -> tuple[TranscriptFormat, ...]:
    """Read a comma-separated list of formats. `Problem` names a format there is not."""
    names = [name.strip().lower() for name in text.split(",") if name.strip()]
    known = [file_format.value for file_format in TranscriptFormat]
    for name in names:
        if name not in known:
            raise Problem(f"--formats: there is no format {name!r}, only {', '.join(known)}")
    if not names:
        raise Problem(f"--formats: name at least one of {', '.join(known)}")
    return tuple(dict.fromkeys(TranscriptFormat(name) for name in names))
