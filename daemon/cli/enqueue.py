"""`whisper-fleet enqueue`: send requests, and wait for them if asked."""

import asyncio
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from daemon.aws.clients import connect
from daemon.aws.queue import SqsQueue
from daemon.aws.store import S3Store
from daemon.aws.upload import upload
from daemon.cli.options import DEFAULT_CONFIG, ConfigFile, Formats, parse_formats
from daemon.cli.problem import Problem
from daemon.cli.progress import RequestBars
from daemon.cli.status import described
from daemon.ports import Outgoing
from daemon.request import Request, explain
from daemon.settings import Settings, load
from daemon.status import Stage, Watcher
from neuron_worker.contract import Ledger, S3Uri, Task, TimestampLevel

STEM_MAX_CHARACTERS = 80

DEADLINE_FORMATS = ("%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z")


@dataclass(frozen=True, slots=True)
class Upload:
    """A local file and the request that will be sent for it."""

    path: Path
    request: Request


def run(
    audio: Annotated[
        list[str], typer.Argument(help="Local files or s3:// locations.", metavar="FILE_OR_S3_URI…")
    ],
    config: ConfigFile = DEFAULT_CONFIG,
    profile: Annotated[str | None, typer.Option(help="The model, by profile.")] = None,
    language: Annotated[str | None, typer.Option(help="Such as en; detected when absent.")] = None,
    task: Annotated[Task, typer.Option(help="Transcribe, or translate to English.")] = (
        Task.TRANSCRIBE
    ),
    formats: Formats = "json,txt",
    timestamps: Annotated[TimestampLevel, typer.Option(help="How fine times are.")] = (
        TimestampLevel.SEGMENT
    ),
    prompt: Annotated[str | None, typer.Option(help="Names and words to expect.")] = None,
    output: Annotated[str | None, typer.Option(help="s3:// prefix for the transcripts.")] = None,
    duration_seconds: Annotated[float | None, typer.Option(help="A hint for planning.")] = None,
    priority: Annotated[int, typer.Option(help="-10 to 10; higher ones go first.")] = 0,
    deadline: Annotated[
        datetime | None,
        typer.Option(help="When the transcript is wanted.", formats=[*DEADLINE_FORMATS]),
    ] = None,
    request_id: Annotated[str | None, typer.Option(help="For a single recording.")] = None,
    metadata: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE, echoed into the JSON; may be repeated.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Show progress and the result.")] = False,
) -> None:
    """Upload what is local, send a request for each recording, print the request ids.

    Example: `whisper-fleet enqueue meeting.m4a s3://recordings/call.wav --formats srt,txt --wait`

    Exit code: 0 when all were sent (with --wait: and are done), 1 otherwise.
    """
    if request_id is not None and len(audio) > 1:
        raise Problem("--request-id names one request, but there are several recordings")
    settings = load(config)
    common: dict[str, object] = {
        "profile": profile,
        "language": language,
        "task": task,
        "formats": parse_formats(formats),
        "timestamps": timestamps,
        "prompt": prompt,
        "output": output,
        "duration_seconds": duration_seconds,
        "priority": priority,
        # Without a zone it is meant as the clock on the wall shows it.
        "deadline": deadline.astimezone() if deadline else None,
        "metadata": dict(map(_pair, metadata or [])),
    }
    prepared = [_prepare(name, settings, request_id, common) for name in audio]
    requests = [one.request if isinstance(one, Upload) else one for one in prepared]
    uploads = [one for one in prepared if isinstance(one, Upload)]
    if not asyncio.run(_send(settings, uploads, requests, wait=wait)):
        raise typer.Exit(1)


def new_request_id(name: str) -> str:
    """A request id that a person recognises: the file's name and some chance."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(name).stem).strip("-_")
    return f"{stem[:STEM_MAX_CHARACTERS] or 'audio'}-{secrets.token_hex(4)}"


def make_request(audio: S3Uri, request_id: str, options: dict[str, object]) -> Request:
    """A request, checked as the daemon will check it. `Problem` names a wrong option."""
    try:
        return Request.model_validate({"audio": str(audio), "request_id": request_id, **options})
    except ValidationError as error:
        raise Problem(f"{audio}: {explain(error)}") from error


def _prepare(
    name: str, settings: Settings, request_id: str | None, options: dict[str, object]
) -> Upload | Request:
    request_id = request_id or new_request_id(name)
    if name.startswith("s3://"):
        try:
            return make_request(S3Uri.parse(name), request_id, options)
        except ValueError as error:
            raise Problem(str(error)) from error
    path = Path(name)
    if not path.is_file():
        raise Problem(f"{name}: there is no such file (and it is no s3:// location)")
    if settings.locations.input is None:
        raise Problem(f"{name}: to upload local files, set locations.input in the settings")
    uri = S3Uri.parse(settings.locations.input).join(request_id, path.name)
    size = {"size_bytes": path.stat().st_size}
    return Upload(path, make_request(uri, request_id, {**options, **size}))


async def _send(
    settings: Settings, uploads: list[Upload], requests: list[Request], *, wait: bool
) -> bool:
    """Upload, send, print the ids and, if asked, wait. Returns whether all went well."""
    async with connect() as clients:
        store = S3Store(clients.s3)
        for one in uploads:
            await upload(one.path, S3Uri.parse(one.request.audio))
        queue = SqsQueue(clients.sqs, settings.queues.requests)
        await queue.send([Outgoing(request.to_json().decode()) for request in requests])
        ids = [str(request.request_id) for request in requests]
        for request_id in ids:
            typer.echo(request_id)
        if not wait:
            return True
        ledger = Ledger(S3Uri.parse(settings.locations.ledger))
        titles = {str(r.request_id): r.audio.rpartition("/")[2] for r in requests}
        bars = RequestBars(Console(stderr=True), titles)
        standings = await bars.follow(Watcher(store, ledger, ids))
        for standing in standings:
            typer.echo("\n".join(described(standing)))
        return all(standing.stage is Stage.DONE for standing in standings)


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Problem(f"--metadata: expected KEY=VALUE, found {text!r}")
    return key, value
