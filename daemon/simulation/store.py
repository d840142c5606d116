"""S3 in memory: strongly consistent, with conditional writes.

Source: docs.aws.amazon.com/AmazonS3/latest/userguide, Welcome.html (consistency) and
conditional-writes.html.
"""

import hashlib
from bisect import bisect_left, insort
from itertools import islice

from daemon.ports import Conflict, Listed
from daemon.simulation.line import Line
from neuron_worker.contract import S3Uri


class Objects:
    """All objects of all buckets, whoever asks."""

    def __init__(self) -> None:
        self._folders: dict[tuple[str, str], dict[str, tuple[bytes, str]]] = {}
        self._names: list[tuple[str, str]] = []
        """Of the folders, in order."""

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
        folder, slash, _ = prefix.key.rpartition("/")
        # All that begin with the folder's name stand together, the folder itself first.
        start = bisect_left(self._names, (prefix.bucket, folder))
        found = []
        for name in islice(self._names, start, None):
            if name[0] != prefix.bucket or not name[1].startswith(folder):
                break
            if name[1] == folder or name[1].startswith(folder + slash):
                found += [
                    Listed(S3Uri(prefix.bucket, key), etag)
                    for key, (_, etag) in self._folders[name].items()
                    if key.startswith(prefix.key)
                ]
        return sorted(found, key=lambda listed: listed.uri.key)

    def _folder(self, uri: S3Uri) -> dict[str, tuple[bytes, str]]:
        name = (uri.bucket, uri.key.rpartition("/")[0])
        folder = self._folders.get(name)
        if folder is None:
            folder = self._folders[name] = {}
            insort(self._names, name)
        return folder


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
