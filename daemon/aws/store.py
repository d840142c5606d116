"""S3 behind the dispatcher's `Store` port."""

from functools import partial
from typing import Any

from daemon.aws.calls import Calls
from daemon.ports import Conflict, Listed, Refused
from neuron_worker.contract import S3Uri

CHANGED = frozenset({"ConditionalRequestConflict", "NoSuchKey", "PreconditionFailed"})
"""What S3 answers to a conditional write of an object that is another one now, or gone.

Source: docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""


class S3Store:
    """Small documents in S3: orders, reports, records, transcripts."""

    def __init__(self, s3: Any, calls: Calls | None = None) -> None:
        self._s3 = s3
        self._calls = calls or Calls()

    async def get(self, uri: S3Uri) -> bytes | None:
        """An object's content; None where there is none."""
        found = await self.get_with_etag(uri)
        return None if found is None else found[0]

    async def get_with_etag(self, uri: S3Uri) -> tuple[bytes, str] | None:
        """An object's content and etag; None where there is none."""

        async def read() -> tuple[bytes, str]:
            answer = await self._s3.get_object(Bucket=uri.bucket, Key=uri.key)
            async with answer["Body"] as body:
                return await body.read(), answer["ETag"]

        try:
            return await self._calls.make("s3", "GetObject", read)
        except Refused as refusal:
            if refusal.code == "NoSuchKey":
                return None
            raise

    async def put(self, uri: S3Uri, content: bytes) -> None:
        """Write an object, whatever is there."""
        await self._write(uri, content)

    async def put_if(self, uri: S3Uri, content: bytes, etag: str | None) -> str:
        """Write an object if it is still the one with that etag (None: if there is none).

        Returns the new etag; raises `Conflict` when the object has changed. A write whose answer
        was lost meets itself when it is made again, so an object that holds this very content is
        no conflict: what two must not both write has to name its writer.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            return await self._write(uri, content, **condition)
        except Refused as refusal:
            if refusal.code not in CHANGED:
                raise
            now = await self.get_with_etag(uri)
            if now is not None and now[0] == content:
                return now[1]
            raise Conflict("s3", f"{uri}: {refusal.cause}", refusal.code) from refusal

    async def _write(self, uri: S3Uri, content: bytes, **condition: str) -> str:
        answer = await self._calls.make(
            "s3",
            "PutObject",
            lambda: self._s3.put_object(
                Bucket=uri.bucket,
                Key=uri.key,
                Body=content,
                ContentType="application/json",
                **condition,
            ),
        )
        return str(answer["ETag"])

    async def delete(self, uri: S3Uri) -> None:
        """Delete an object; none there is as good."""
        await self._calls.make(
            "s3", "DeleteObject", lambda: self._s3.delete_object(Bucket=uri.bucket, Key=uri.key)
        )

    async def list(self, prefix: S3Uri) -> list[Listed]:
        """All objects under a prefix; each page is a call of its own."""
        found: list[Listed] = []
        request: dict[str, str] = {"Bucket": prefix.bucket, "Prefix": prefix.key}
        while True:
            answer = await self._calls.make(
                "s3", "ListObjectsV2", partial(self._s3.list_objects_v2, **request)
            )
            found += [
                Listed(S3Uri(prefix.bucket, entry["Key"]), entry["ETag"])
                for entry in answer.get("Contents", [])
            ]
            if not answer["IsTruncated"]:
                return found
            request["ContinuationToken"] = answer["NextContinuationToken"]
