"""Dead letters: the message as it came, and why it stands here."""

from collections.abc import Mapping

from daemon.ports import Outgoing

REASON_MAX_CHARACTERS = 1_000
"""Long enough for a sentence a person can act on; attributes share the message's size limit."""


def dead_letter(body: str, *, reason: str, detail: str, facts: Mapping[str, str]) -> Outgoing:
    """A message for the dead-letter queue: the unchanged body, so that it can be sent again.

    `facts` are more attributes (request_id, attempts, order_ids); empty ones are left out, because
    SQS refuses them.
    """
    attributes = {"reason": reason, "detail": detail, **facts}
    return Outgoing(
        body,
        {name: cleaned for name, value in attributes.items() if (cleaned := _allowed(value))},
    )


def _allowed(text: str) -> str:
    """The characters that SQS accepts (API_SendMessage: #x9, #xA, #xD, #x20 to #xD7FF, …)."""
    kept = (
        character
        for character in text
        if character in "\t\n\r"
        or "\x20" <= character <= "\ud7ff"
        or "\ue000" <= character <= "\ufffd"
        or character >= "\U00010000"
    )
    return "".join(kept)[:REASON_MAX_CHARACTERS]
