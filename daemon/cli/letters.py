"""How dead letters are shown, to people and to machines; nothing secret is, and nothing that a
terminal would obey."""

import json
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from daemon.cli.advice import ADVICE, OTHERWISE
from daemon.dead_letters import Letter, Scan
from neuron_worker.contract import Record
from neuron_worker.contract.redaction import redacted

NOTHING = "–"


def shown(text: str) -> str:
    """Text of others, without secrets and without control characters."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}"
        if unicodedata.category(character) == "Cc" and character not in "\n\t"
        else character
        for character in redacted(text)
    )


def table(letters: Sequence[Letter]) -> Table:
    """A row for each letter, the oldest first."""
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("reason", "request", "audio", "tries", "since (UTC)"):
        # An id in two pieces could not be copied.
        rows.add_column(title, overflow="fold", no_wrap=title != "audio")
    for letter in sorted(letters, key=lambda letter: letter.sent_at):
        rows.add_row(*(Text(shown(cell)) for cell in _cells(letter)))
    return rows


def line(letter: Letter) -> Text:
    """A letter where there may be too many for a table."""
    return Text("  ".join(map(shown, _cells(letter))))


def _cells(letter: Letter) -> tuple[str, ...]:
    return (
        letter.reason,
        letter.ids[0],
        letter.audio or NOTHING,
        NOTHING if letter.attempts is None else str(letter.attempts),
        f"{letter.sent_at:%Y-%m-%d %H:%M}",
    )


def by_reason(counts: Counter[str]) -> Table:
    """How many letters of each reason, the most frequent first."""
    rows = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for reason, count in counts.most_common():
        rows.add_row(Text(shown(reason), style="bold"), f"{count:,}")
    return rows


def ending(scan: Scan) -> list[str]:
    """How the look through the queue ended, and what it may have missed."""
    about = f"the queue counts about {scan.depth.visible:,} letters"
    if scan.complete:
        lines = [f"the whole queue was read: {scan.seen:,} letters"]
    elif scan.limit is not None:
        lines = [f"stopped at --limit {scan.limit}, or SQS had nothing new: {about}"]
    else:
        lines = [f"SQS gave {scan.seen:,} letters and then nothing new; {about}: try again"]
    if scan.depth.in_flight:
        lines.append(f"{scan.depth.in_flight:,} more are hidden while others look at them")
    if scan.newer:
        lines.append(f"{scan.newer:,} came meanwhile and were left alone")
    return lines


def advice(letter: Letter) -> str:
    """What to do next."""
    return ADVICE.get(letter.reason, OTHERWISE)


def document(letter: Letter) -> dict[str, Any]:
    """A letter for machines; what is not known is left out."""
    known = {
        "message_id": letter.message_id,
        "request_id": letter.request_id,
        "rejected_message_id": letter.rejected_message_id,
        "reason": letter.reason,
        "detail": letter.detail,
        "audio": letter.audio,
        "attempts": letter.attempts,
        "order_ids": list(letter.order_ids),
        "log": letter.log,
        "sent_at": letter.sent_at.isoformat(),
    }
    return {name: value for name, value in known.items() if value not in (None, "", [])}


def whole_document(letter: Letter, record: Record) -> dict[str, Any]:
    """A letter with its outcomes and its body, for machines."""
    outcomes = [outcome.model_dump(mode="json") for outcome in record.outcomes]
    return {
        **document(letter),
        "outcomes": outcomes,
        "advice": advice(letter),
        "body": letter.body,
    }


def as_json(known: Mapping[str, Any]) -> str:
    """A document as one line; valid JSON without secrets."""
    return redacted(json.dumps(known))


def show(letter: Letter, record: Record, console: Console) -> None:
    """Everything that is known of a letter, and what to do next."""
    facts = {
        "reason": letter.reason,
        "detail": letter.detail,
        "audio": letter.audio,
        "tries": None if letter.attempts is None else str(letter.attempts),
        "since": f"{letter.sent_at:%Y-%m-%d %H:%M:%S} UTC",
        "orders": ", ".join(letter.order_ids),
        "log": letter.log,
        "message": letter.message_id,
    }
    rows = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    rows.add_column(style="bold")
    rows.add_column(overflow="fold")
    for name, value in facts.items():
        if value:
            rows.add_row(name, Text(shown(value)))
    console.print(Text(shown(letter.ids[0]), style="bold red"))
    console.print(rows)
    if record.outcomes:
        console.print(Text("\noutcomes", style="bold"))
        console.print(_outcomes(record))
    console.print(Text("\nbody", style="bold"))
    console.print(Text(shown(_pretty(letter.body))))
    console.print(Text("\nwhat to do", style="bold"))
    if record.done is not None:
        console.print("It has been transcribed since: purge the letter.")
    else:
        console.print(advice(letter), markup=False)


def _outcomes(record: Record) -> Table:
    rows = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in ("ended", "outcome", "order", "detail"):
        rows.add_column(title, overflow="fold")
    for outcome in record.outcomes:
        cells = (
            f"{outcome.finished_at:%Y-%m-%d %H:%M:%S}",
            outcome.reason or outcome.kind,
            f"{outcome.order_id} shard {outcome.shard_index}",
            outcome.detail,
        )
        rows.add_row(*(Text(shown(cell)) for cell in cells))
    return rows


def _pretty(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return body
