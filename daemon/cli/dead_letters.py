"""`whisper-fleet dead-letters`: look at what was given up, send it again, or delete it."""

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated

import typer
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from daemon.aws.world import open_world
from daemon.cli import letters as shown
from daemon.cli.advice import ADVICE
from daemon.cli.options import DEFAULT_CONFIG, ConfigFile
from daemon.cli.problem import Problem
from daemon.clock import utc_now
from daemon.dead_letters import Letter, Scan, Selection
from daemon.ports import World
from daemon.records import Records
from daemon.settings import Settings, load
from neuron_worker.contract import Ledger, OutcomeKind, Record, S3Uri
from neuron_worker.contract.order import RequestId

app = typer.Typer(
    help="Requests that were given up, and why: look at them, send them again, delete them.",
    no_args_is_help=True,
)

REASONS = frozenset({*ADVICE, *OutcomeKind})
UNIT_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def _age(text: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,6})([smhd])", text.strip())
    if match is None:
        raise Problem(f"expected an age such as 90s, 15m, 12h or 3d, found {text!r}")
    return timedelta(seconds=int(match[1]) * UNIT_SECONDS[match[2]])


ReasonFilter = Annotated[
    list[str] | None,
    typer.Option("--reason", help="Only letters of this reason; may be repeated."),
]
OlderThan = Annotated[
    timedelta | None,
    typer.Option(
        help="Only letters older than this, such as 12h or 3d.", parser=_age, metavar="AGE"
    ),
]
NewerThan = Annotated[
    timedelta | None,
    typer.Option(help="Only letters newer than this, such as 30m.", parser=_age, metavar="AGE"),
]
Limit = Annotated[int | None, typer.Option(help="At most so many letters.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="JSON, for machines.")]
Ids = Annotated[
    list[str] | None,
    typer.Argument(help="Of requests or messages, as `list` shows them.", metavar="ID"),
]


@dataclass(slots=True)
class Tally:
    """What a command came across; `missing` is what it was asked for and has not met yet."""

    missing: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    left: int = 0

    def add(self, chosen: Iterable[Letter]) -> None:
        """Count letters that were meant."""
        for letter in chosen:
            self.counts[letter.reason] += 1
            self.missing.difference_update(letter.ids)


@app.command("list")
def list_(
    reason: ReasonFilter = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Limit = 100,
    as_json: AsJson = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """List dead letters, and count them by reason.

    With --json, a line of JSON for each. SQS keeps no place in a queue: each letter is received,
    hidden from others while the rest is read, and shown again at the end.

    Example: `whisper-fleet dead-letters list --reason missing --newer-than 12h`

    Exit code: 0, also when there are none.
    """
    selection = _selection(reason, older_than, newer_than)
    asyncio.run(_list(load(config), selection, limit, as_json=as_json))


@app.command()
def show(
    letter_id: Annotated[
        str, typer.Argument(help="As `list` shows it.", metavar="REQUEST_ID|MESSAGE_ID")
    ],
    as_json: AsJson = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Show all that is known of a dead letter, and what to do about it.

    Example: `whisper-fleet dead-letters show board-2026-11`

    Exit code: 0 when it was found, 2 when it was not.
    """
    if not asyncio.run(_show(load(config), letter_id, as_json=as_json)):
        raise typer.Exit(2)


@app.command()
def redrive(
    ids: Ids = None,
    reason: ReasonFilter = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Limit = None,
    everything: Annotated[bool, typer.Option("--all", help="Every letter there is.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Send requests again, as they came: as new messages, with all their attempts before them.

    A request without an id of its own gets a new one. Each is sent before its letter is deleted, so
    that nothing is lost when this is interrupted; at worst a request is sent twice and done once.

    Example: `whisper-fleet dead-letters redrive --reason forbidden`

    Exit code: 0 when all that was meant was sent, 2 when an id was not found or a letter stayed.
    """
    if not (ids or reason or older_than or newer_than or everything):
        raise Problem("say which letters: by id, by --reason, by age, or --all")
    selection = _selection(reason, older_than, newer_than, ids)
    tally = asyncio.run(_redrive(load(config), selection, limit, dry_run=dry_run))
    _finish(tally, "would be sent again" if dry_run else "sent again")


@app.command()
def purge(
    ids: Ids = None,
    reason: ReasonFilter = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Limit = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete them.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Count what would be deleted; with --yes, delete it.

    Letters that come meanwhile are left alone. What is deleted cannot be brought back.

    Example: `whisper-fleet dead-letters purge --reason not_audio --older-than 30d --yes`

    Exit code: 0 when all that was meant is gone or counted, 2 when an id was not found or a letter
    stayed.
    """
    selection = _selection(reason, older_than, newer_than, ids)
    tally = asyncio.run(_purge(load(config), selection, limit, yes=yes))
    _finish(tally, "deleted" if yes else "would be deleted (--yes deletes them)")


def _selection(
    reasons: list[str] | None,
    older_than: timedelta | None,
    newer_than: timedelta | None,
    ids: list[str] | None = None,
) -> Selection:
    for reason in reasons or ():
        if reason not in REASONS:
            raise Problem(f"--reason: there is no reason {reason!r}, only {_listed(REASONS)}")
    now = utc_now()
    return Selection(
        ids=frozenset(ids or ()),
        reasons=frozenset(reasons or ()),
        sent_before=_before(now, older_than),
        sent_after=_before(now, newer_than),
    )


def _before(now: datetime, age: timedelta | None) -> datetime | None:
    try:
        return None if age is None else now - age
    except OverflowError as error:
        raise Problem("that is longer ago than dates go back") from error


@asynccontextmanager
async def _opened(
    settings: Settings, selection: Selection, limit: int | None
) -> AsyncIterator[tuple[World, Scan]]:
    queues = settings.queues
    async with (
        open_world(queues.requests, queues.dead_letters) as world,
        Scan(world.dead_letters, selection, started_at=utc_now(), limit=limit) as scan,
    ):
        yield world, scan


async def _list(
    settings: Settings, selection: Selection, limit: int | None, *, as_json: bool
) -> None:
    console = Console(highlight=False)
    tally = Tally()
    rows: list[Letter] = []
    async with _opened(settings, selection, limit) as (_, scan):
        async for chosen in scan:
            tally.add(chosen)
            if as_json:
                for letter in chosen:
                    typer.echo(shown.as_json(shown.document(letter)))
            else:
                rows += chosen
    if not as_json:
        if rows:
            console.print(shown.table(rows))
            console.print()
            console.print(shown.by_reason(tally.counts))
        for line in shown.ending(scan):
            console.print(line, soft_wrap=True)


async def _show(settings: Settings, letter_id: str, *, as_json: bool) -> bool:
    """Returns whether the letter was found."""
    console = Console(highlight=False)
    async with _opened(settings, Selection(ids={letter_id}), 1) as (world, scan):
        async for [letter] in scan:
            ledger = Ledger(S3Uri.parse(settings.locations.ledger))
            record = await _record(Records(world.store, ledger), letter)
            if as_json:
                typer.echo(shown.as_json(shown.whole_document(letter, record)))
            else:
                shown.show(letter, record, console)
            return True
    _say(f"there is no dead letter {letter_id}", *shown.ending(scan))
    return False


async def _record(records: Records, letter: Letter) -> Record:
    """What the ledger knows of the request; nothing where the letter names none that could be."""
    name = letter.ids[0]
    try:
        TypeAdapter(RequestId).validate_python(name)
    except ValidationError:
        return Record.model_construct(request_id=name)
    return await records.get(name)


async def _redrive(
    settings: Settings, selection: Selection, limit: int | None, *, dry_run: bool
) -> Tally:
    console = Console(highlight=False)
    tally = Tally(set(selection.ids))
    async with _opened(settings, selection, limit) as (world, scan):
        async for chosen in scan:
            tally.add(chosen)
            if dry_run:
                for letter in chosen:
                    console.print(shown.line(letter), soft_wrap=True)
            else:
                tally.left += len(await scan.redrive(chosen, world.requests))
    _say(*shown.ending(scan))
    return tally


async def _purge(
    settings: Settings, selection: Selection, limit: int | None, *, yes: bool
) -> Tally:
    tally = Tally(set(selection.ids))
    async with _opened(settings, selection, limit) as (_, scan):
        async for chosen in scan:
            tally.add(chosen)
            if yes:
                tally.left += len(await scan.delete(chosen))
    _say(*shown.ending(scan))
    return tally


def _finish(tally: Tally, what: str) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(shown.by_reason(tally.counts))
    console.print(f"{tally.counts.total() - tally.left:,} {what}", markup=False)
    if tally.missing:
        _say(f"not found: {_listed(tally.missing)}")
    if tally.left:
        _say(f"{tally.left:,} could not be deleted and are still there: try again")
    if tally.missing or tally.left:
        raise typer.Exit(2)


def _say(*lines: str) -> None:
    for line in lines:
        typer.echo(line, err=True)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
