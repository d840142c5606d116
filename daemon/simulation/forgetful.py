"""A store that forgets what nobody reads again, so that a million requests fit into memory.

Forgotten are: a closed order and the reports on it, at once; a transcript, which only people read;
and the record of a request some time after its message was deleted, unless the message comes back.
"""

from collections import deque

from daemon.simulation.store import Objects
from neuron_worker.contract import Ledger, S3Uri


class ForgetfulObjects(Objects):
    """The objects of one ledger. `keep_seconds` is how long a record is kept after all is done."""

    def __init__(self, ledger: Ledger, keep_seconds: float) -> None:
        super().__init__()
        self._ledger = ledger
        self._keep_seconds = keep_seconds
        self._closed = ledger.closed_order("").key.removesuffix(".json")
        self._done: deque[tuple[float, str]] = deque()
        self._back: set[str] = set()

    def put(self, uri: S3Uri, content: bytes) -> str:
        """Write, unless nobody will read it."""
        if uri.key.startswith(self._closed):
            order_id = uri.key.rpartition("/")[2].removesuffix(".json")
            self._forget_folder(self._ledger.report(order_id, 0))
            return ""
        return super().put(uri, content)

    def done(self, request_id: str, at_seconds: float) -> None:
        """The message of a request is deleted."""
        self._done.append((at_seconds, request_id))

    def came_back(self, request_id: str) -> None:
        """The message of a request was received once more: its record may be asked for."""
        self._back.add(request_id)

    def forget(self, now_seconds: float) -> None:
        """Forget the records whose time has come."""
        while self._done and self._done[0][0] + self._keep_seconds < now_seconds:
            _, request_id = self._done.popleft()
            if request_id not in self._back:
                self.delete(self._ledger.record(request_id))

    def _forget_folder(self, inside: S3Uri) -> None:
        name = (inside.bucket, inside.key.rpartition("/")[0])
        if self._folders.pop(name, None) is not None:
            self._names.remove(name)
