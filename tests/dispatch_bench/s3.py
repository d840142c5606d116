"""S3 over HTTP for the dispatcher's small documents, in as little time as can be.

moto's server answers some 160 calls a second and takes a whole CPU for it, which the measured
process would have to wait for. This one keeps the objects of `daemon.simulation.store`, whose
conditional writes are S3's, and knows the four operations that the dispatcher uses, with the
headers that a client has to read. Path-style addresses only.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Self
from uuid import uuid4
from xml.sax.saxutils import escape

from aiohttp import web

from daemon.ports import Conflict
from daemon.simulation.store import Objects
from neuron_worker.contract import S3Uri

PAGE_MAX = 1_000
"""Keys in one answer of ListObjectsV2.

Source: docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
"""


class SmallS3:
    """Serves the objects, from entering the context to leaving it.

    `heard` is told the name of every operation that is asked for.
    """

    def __init__(self, objects: Objects, heard: Callable[[str], None]) -> None:
        self._objects = objects
        self._heard = heard

    async def __aenter__(self) -> Self:
        application = web.Application()
        application.router.add_get("/{bucket}", self._answering("ListObjectsV2", self._list))
        for method, operation, answer in (
            ("GET", "GetObject", self._get),
            ("PUT", "PutObject", self._put),
            ("DELETE", "DeleteObject", self._delete),
        ):
            handler = self._answering(operation, answer)
            application.router.add_route(method, "/{bucket}/{key:.+}", handler)
        self._runner = web.AppRunner(application, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.endpoint_url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    def _answering(
        self, operation: str, answer: Callable[[web.Request, S3Uri], Awaitable[web.Response]]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            self._heard(operation)
            uri = S3Uri(request.match_info["bucket"], request.match_info.get("key", ""))
            response = await answer(request, uri)
            response.headers["x-amz-request-id"] = uuid4().hex[:16].upper()
            response.headers["x-amz-id-2"] = uuid4().hex
            response.headers["Server"] = "AmazonS3"
            return response

        return handle

    async def _get(self, _: web.Request, uri: S3Uri) -> web.Response:
        found = self._objects.get(uri)
        if found is None:
            return _error(404, "NoSuchKey", "The specified key does not exist.")
        content, etag = found
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        return web.Response(body=content, headers=headers, content_type="application/json")

    async def _put(self, request: web.Request, uri: S3Uri) -> web.Response:
        content = await request.read()
        if "If-None-Match" in request.headers or "If-Match" in request.headers:
            try:
                etag = self._objects.put_if(uri, content, request.headers.get("If-Match"))
            except Conflict as conflict:
                return _error(412, "PreconditionFailed", conflict.cause)
        else:
            etag = self._objects.put(uri, content)
        return web.Response(headers={"ETag": etag})

    async def _delete(self, _: web.Request, uri: S3Uri) -> web.Response:
        self._objects.delete(uri)
        return web.Response(status=204)

    async def _list(self, request: web.Request, bucket: S3Uri) -> web.Response:
        found = self._objects.list(S3Uri(bucket.bucket, request.query["prefix"]))
        if len(found) > PAGE_MAX:
            return _error(501, "NotImplemented", f"more than {PAGE_MAX} keys need a second page")
        contents = "".join(
            _element("Contents", _element("Key", escape(one.uri.key)) + _element("ETag", one.etag))
            for one in found
        )
        facts = {"Name": bucket.bucket, "KeyCount": len(found), "MaxKeys": PAGE_MAX}
        return _xml(200, "ListBucketResult", {**facts, "IsTruncated": "false"}, contents)


def _error(status: int, code: str, message: str) -> web.Response:
    return _xml(status, "Error", {"Code": code, "Message": escape(message)})


def _xml(status: int, root: str, facts: Mapping[str, object], more: str = "") -> web.Response:
    inside = "".join(_element(name, str(value)) for name, value in facts.items()) + more
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n{_element(root, inside)}'
    return web.Response(status=status, text=text, content_type="application/xml")


def _element(name: str, content: str) -> str:
    return f"<{name}>{content}</{name}>"
