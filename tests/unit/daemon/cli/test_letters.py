import io
import json
from datetime import UTC, datetime

import pytest
from rich.console import Console

from daemon.cli import letters
from daemon.dead_letters import Letter
from tests.malformed import SIGNATURE, SIGNED_URL

MESSAGE_ID = "599e2963-e9b1-4957-b74e-ea4951e17649"


def letter(**changes: str) -> Letter:
    known = {
        "message_id": MESSAGE_ID,
        "receipt_handle": "h",
        "body": '{"audio": "s3://recordings/2026/11/board-meeting.m4a"}',
        "reason": "unsupported_option",
        "detail": "",
        **changes,
    }
    return Letter(sent_at=datetime(2026, 11, 27, 12, 56, tzinfo=UTC), **known)  # type: ignore[arg-type]


@pytest.mark.parametrize("width", [100, 120, 200])
def test_an_id_and_a_time_stay_in_one_piece_however_narrow_the_terminal(width: int) -> None:
    text = io.StringIO()
    Console(file=text, width=width).print(letters.table([letter()]))

    assert MESSAGE_ID in text.getvalue()
    assert "2026-11-27 12:56" in text.getvalue()
    assert "unsupported_option" in text.getvalue()


@pytest.mark.parametrize("text", ["\x1b[2J", "\x9b2J", "\x07", "\x7f", "a\rb", "\x00"])
def test_no_control_character_is_shown(text: str) -> None:
    kept = letters.shown(f"[bold]{text}\nnext\tcell")

    assert kept.startswith("[bold]")
    assert kept.endswith("\nnext\tcell")
    assert not any(character in kept for character in "\x1b\x9b\x07\x7f\r\x00")


def test_json_stays_json_where_secrets_are_taken_out() -> None:
    body = json.dumps({"audio": SIGNED_URL, "password": "p w", "n": {"session_token": "x"}})
    shown = letters.as_json(letters.document(letter(detail=SIGNED_URL)) | {"body": body})

    assert SIGNATURE not in shown
    assert json.loads(shown)["reason"] == "unsupported_option"
    assert json.loads(json.loads(shown)["body"])["n"] == {"session_token": "REDACTED"}
