"""S3 in memory: strongly consistent, with conditional writes.

Source: docs.aws.amazon.com/AmazonS3/latest/userguide, Welcome.html (consistency) and
conditional-writes.html.
"""

import hashlib
from collections import defaultdict

from daemon.ports import Conflict, Listed
from daemon.simulation.line import Line
from neuron_worker.contract import S3Uri


class Objects:
    """All objects of all buckets, whoever asks."""

    def __init__(self) -> None:
        self._folders: dict[tuple[str, str], dict[str, tuple[bytes, str]]] = defaultdict(dict)

    def get(self, uri: S3Uri) -> tuple[bytes, str] | None:
        """Content and etag."""
        return self._folder(uri).get(uri.key)

    def put(self, uri: S3Uri, content: bytes) -> str:
        """Write; returns the etag."""
        etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        self._folder(uri)[uri.key] = (content, etag)
        return etag

    def put_if(self, uri: S3Uri, content: bytes, etag: str | None) -> str:
        """Write over what has that etag, or over nothing; `Conflict` otherwise."""
        known = self.get(uri)
        if (known[1] if known else None) != etag and not (known and known[0] == content):
            raise Conflict("s3", "At least one of the pre-conditions you specified did not hold")
        return self.put(uri, content)

    def delete(self, uri: S3Uri) -> None:
        """Delete, if there is one."""
        self._folder(uri).pop(uri.key, None)

    def list(self, prefix: S3Uri) -> list[Listed]:
        """Every object under a prefix, by key."""
        folder = prefix.key.rpartition("/")[0]
        inside = [
            (bucket, name)
            for bucket, name in self._folders
            if bucket == prefix.bucket and (name == folder or name.startswith(prefix.key))
        ]
        found = [
            Listed(S3Uri(bucket, key), etag)
            for bucket, name in inside
            for key, (_, etag) in self._folders[bucket, name].items()
            if key.startswith(prefix.key)
        ]
        return sorted(found, key=lambda listed: listed.uri.key)

    def _folder(self, uri: S3Uri) -> dict[str, tuple[bytes, str]]:
        return self._folders[uri.bucket, uri.key.rpartition("/")[0]]


class SimulatedStore:
    """The `Store` port over them, by one process's line."""

    def __init__(self, objects: Objects, line: Line) -> None:
        self._objects = objects
        self._line = line

    async def get(self, uri: S3Uri) -> bytes | None:
        """An object's content; None where there is none."""
        found = await self.get_with_etag(uri)
        return None if found is None else found[0]

    async def get_with_etag(self, uri: S3Uri) -> tuple[bytes, str] | None:
        """An object's content and etag; None where there is none."""
        return await self._line.call("s3", "GetObject", lambda: self._objects.get(uri))

    async def put(self, uri: S3Uri, content: bytes) -> None:
        """Write an object, whatever is there."""
        await self._line.call("s3", "PutObject", lambda: self._objects.put(uri, content))

    async def put_if(self, uri: S3Uri, content: bytes, etag: str | None) -> str:
        """Write an object if it is still the one with that etag; raises `Conflict`."""
        return await self._line.call(
            "s3", "PutObject", lambda: self._objects.put_if(uri, content, etag)
        )

    async def delete(self, uri: S3Uri) -> None:
        """Delete an object; none there is as good."""
        await self._line.call("s3", "DeleteObject", lambda: self._objects.delete(uri))

    async def list(self, prefix: S3Uri) -> list[Listed]:
        """All objects under a prefix."""
        return await self._line.call("s3", "ListObjectsV2", lambda: self._objects.list(prefix))
