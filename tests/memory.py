"""The dispatcher's ports over memory, with failures on demand."""

from collections.abc import Sequence
from hashlib import sha256

from daemon.ports import Conflict, Listed, Outgoing, QueueDepth, Received, Unavailable
from neuron_worker.contract import S3Uri


class MemoryStore:
    """The store's port over a dict."""

    def __init__(self) -> None:
        self.objects: dict[S3Uri, bytes] = {}

    async def get(self, uri: S3Uri) -> bytes | None:
        return self.objects.get(uri)

    async def get_with_etag(self, uri: S3Uri) -> tuple[bytes, str] | None:
        content = self.objects.get(uri)
        return None if content is None else (content, _etag(content))

    async def put(self, uri: S3Uri, content: bytes) -> None:
        self.objects[uri] = content

    async def put_if(self, uri: S3Uri, content: bytes, etag: str | None) -> str:
        found = self.objects.get(uri)
        if found != content and (None if found is None else _etag(found)) != etag:
            raise Conflict("s3", f"{uri} has changed")
        self.objects[uri] = content
        return _etag(content)

    async def delete(self, uri: S3Uri) -> None:
        self.objects.pop(uri, None)

    async def list(self, prefix: S3Uri) -> list[Listed]:
        return [
            Listed(uri, _etag(content))
            for uri, content in self.objects.items()
            if uri.key.startswith(prefix.key)
        ]


def _etag(content: bytes) -> str:
    return f'"{sha256(content).hexdigest()}"'


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
