"""S3 behind the dispatcher's `Store` port."""

from typing import Any

from daemon.aws.retrying import retrying
from daemon.ports import Listed, Refused
from neuron_worker.contract import S3Uri


class S3Store:
    """Small documents in S3: orders, reports, records, transcripts."""

    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    async def get(self, uri: S3Uri) -> bytes | None:
        """An object's content; None where there is none."""

        async def read() -> bytes:
            answer = await self._s3.get_object(Bucket=uri.bucket, Key=uri.key)
            async with answer["Body"] as body:
                content: bytes = await body.read()
            return content

        try:
            return await retrying("s3", read)
        except Refused as refusal:
            if refusal.code == "NoSuchKey":
                return None
            raise

    async def put(self, uri: S3Uri, content: bytes) -> None:
        """Write an object."""
        await retrying(
            "s3",
            lambda: self._s3.put_object(
                Bucket=uri.bucket, Key=uri.key, Body=content, ContentType="application/json"
            ),
        )

    async def delete(self, uri: S3Uri) -> None:
        """Delete an object; none there is as good."""
        await retrying("s3", lambda: self._s3.delete_object(Bucket=uri.bucket, Key=uri.key))

    async def list(self, prefix: S3Uri) -> list[Listed]:
        """All objects under a prefix."""

        async def pages() -> list[Listed]:
            paginator = self._s3.get_paginator("list_objects_v2")
            return [
                Listed(S3Uri(prefix.bucket, entry["Key"]), entry["ETag"])
                async for page in paginator.paginate(Bucket=prefix.bucket, Prefix=prefix.key)
                for entry in page.get("Contents", [])
            ]

        return await retrying("s3", pages)
