"""The dispatcher's ports over memory, with failures on demand."""

from collections.abc import Sequence

from daemon.ports import Listed, Outgoing, QueueDepth, Received, Unavailable
from neuron_worker.contract import S3Uri


class MemoryStore:
    """The store's port over a dict."""

    def __init__(self) -> None:
        self.objects: dict[S3Uri, bytes] = {}

    async def get(self, uri: S3Uri) -> bytes | None:
        return self.objects.get(uri)

    async def put(self, uri: S3Uri, content: bytes) -> None:
        self.objects[uri] = content

    async def delete(self, uri: S3Uri) -> None:
        self.objects.pop(uri, None)

    async def list(self, prefix: S3Uri) -> list[Listed]:
        return [Listed(uri, "") for uri in self.objects if uri.key.startswith(prefix.key)]


class MemoryQueue:
    """The queue's port: keeps what is sent and deleted; the named methods fail once each."""

    def __init__(self, *failing: str) -> None:
        self.sent: list[Outgoing] = []
        self.deleted: list[str] = []
        self._failing = set(failing)

    def _may_fail(self, method: str) -> None:
        if method in self._failing:
            self._failing.remove(method)
            raise Unavailable("sqs", "no answer")

    async def receive(
        self, max_messages: int, wait_seconds: int, visibility_seconds: int
    ) -> list[Received]:
        return []

    async def extend(self, receipt_handles: Sequence[str], seconds: int) -> set[str]:
        return set()

    async def delete(self, receipt_handles: Sequence[str]) -> set[str]:
        self._may_fail("delete")
        self.deleted += receipt_handles
        return set()

    async def send(self, messages: Sequence[Outgoing]) -> None:
        self._may_fail("send")
        self.sent += messages

    async def depth(self) -> QueueDepth:
        return QueueDepth(0, 0)
