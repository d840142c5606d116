"""Receipt handles: what a receive gives out to act on the message with."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

from daemon.embedded.sqs.errors import ReceiptHandleIsInvalidError

_SEAL_BYTES = 8


class Receipt(NamedTuple):
    """One receive of one message: the message's receive count after it names the receive."""

    message_id: str
    receive_count: int


class Receipts:
    """Writes and reads the handles of one queue, and remembers none of them.

    A handle is sealed with a key of the queue's own, so that one of another queue, or one that
    nobody gave out, is told from one that is old.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def write(self, receipt: Receipt) -> str:
        """The handle of a receive."""
        content = f"{receipt.receive_count}:{receipt.message_id}".encode()
        return urlsafe_b64encode(self._seal(content) + content).decode()

    def read(self, handle: str) -> Receipt:
        """The receive that a handle stands for; ReceiptHandleIsInvalidError if it is none."""
        try:
            sealed = urlsafe_b64decode(handle.encode())
        except ValueError:
            raise ReceiptHandleIsInvalidError from None
        seal, content = sealed[:_SEAL_BYTES], sealed[_SEAL_BYTES:]
        if seal != self._seal(content):
            raise ReceiptHandleIsInvalidError
        receive_count, _, message_id = content.decode().partition(":")
        return Receipt(message_id, int(receive_count))

    def _seal(self, content: bytes) -> bytes:
        return hashlib.blake2b(content, digest_size=_SEAL_BYTES, key=self._key).digest()
