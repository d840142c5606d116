"""S3 as the worker needs it: documents, and audio read as a file without downloading it first."""

import io
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as ConnectionFault

from neuron_worker.contract import Reason, S3Uri

READ_AHEAD_BYTES = 4 * 1024 * 1024
"""One ranged GET: large enough that its latency is small beside its transfer."""

ATTEMPTS_MAX = 8
CONNECT_TIMEOUT_SECONDS = 5
READ_TIMEOUT_SECONDS = 60


class StoreError(Exception):
    """{uri}: {what}"""

    def __init__(self, uri: S3Uri, reason: Reason, what: str) -> None:
        super().__init__(uri, reason, what)
        self.uri = uri
        self.reason = reason
        self.what = what

    def __str__(self) -> str:
        return str(self.__doc__).format(uri=self.uri, what=self.what)


class ChangedMeanwhile(Exception):
    """Somebody else wrote the object since it was read."""


class Store:
    """Objects in S3; throttles and broken connections are retried by botocore's standard mode."""

    def __init__(self) -> None:
        self._s3 = boto3.client(
            "s3",
            config=Config(
                retries={"mode": "standard", "total_max_attempts": ATTEMPTS_MAX},
                connect_timeout=CONNECT_TIMEOUT_SECONDS,
                read_timeout=READ_TIMEOUT_SECONDS,
            ),
        )

    def get(self, uri: S3Uri) -> tuple[bytes, str] | None:
        """An object's content and etag; None where there is none. Raises `StoreError`."""
        try:
            answer = self._s3.get_object(Bucket=uri.bucket, Key=uri.key)
            return answer["Body"].read(), answer["ETag"]
        except (ClientError, BotoCoreError) as error:
            fault = _fault(uri, error)
            if fault.reason is Reason.MISSING:
                return None
            raise fault from error

    def put(self, uri: S3Uri, content: bytes, content_type: str = "application/json") -> None:
        """Write an object. Raises `StoreError`."""
        self._write(uri, content, content_type, {})

    def put_unchanged(self, uri: S3Uri, content: bytes, etag: str | None) -> None:
        """Write an object only if it still has that etag, or still is not there (None).

        Raises `ChangedMeanwhile` otherwise, and `StoreError`.
        """
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        self._write(uri, content, "application/json", condition)

    def delete(self, uri: S3Uri) -> None:
        """Delete an object, if there is one. Raises `StoreError`."""
        try:
            self._s3.delete_object(Bucket=uri.bucket, Key=uri.key)
        except (ClientError, BotoCoreError) as error:
            raise _fault(uri, error) from error

    def open(self, uri: S3Uri, version: str | None) -> "S3File":
        """An object as a binary file. Raises `StoreError` when it is missing or forbidden."""
        return S3File(self._s3, uri, version)

    def _write(
        self, uri: S3Uri, content: bytes, content_type: str, condition: dict[str, str]
    ) -> None:
        try:
            self._s3.put_object(
                Bucket=uri.bucket,
                Key=uri.key,
                Body=content,
                ContentType=content_type,
                **condition,
            )
        except (ClientError, BotoCoreError) as error:
            if _code(error) in ("PreconditionFailed", "ConditionalRequestConflict"):
                raise ChangedMeanwhile from error
            raise _fault(uri, error) from error


class S3File(io.RawIOBase):
    """One version of an object as a seekable binary file, read by ranges.

    If the object is replaced while it is read, reading fails instead of mixing two recordings.
    """

    def __init__(self, s3: Any, uri: S3Uri, version: str | None) -> None:
        super().__init__()
        self._s3 = s3
        self._uri = uri
        self._which = {"Bucket": uri.bucket, "Key": uri.key}
        if version is not None:
            self._which["VersionId"] = version
        self._position = 0
        self._block = b""
        self._block_start = 0
        self.size, self.etag = self._begin()

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The position, in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position; nothing is fetched before the next read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes from the position on; fewer only at a block's or the file's end."""
        if size < 0:
            return self.readall()
        offset = self._position - self._block_start
        if not 0 <= offset < len(self._block):
            self._fetch(self._position)
            offset = 0
        piece = self._block[offset : offset + size]
        self._position += len(piece)
        return piece

    def readall(self) -> bytes:
        """Everything from the position to the end."""
        pieces = []
        while piece := self.read(READ_AHEAD_BYTES):
            pieces.append(piece)
        return b"".join(pieces)

    def _begin(self) -> tuple[int, str]:
        """The size and the etag, with the first block: a HEAD's refusal would not say why."""
        try:
            answer = self._get(0)
            self._block = answer["Body"].read()
            return int(answer["ContentRange"].rpartition("/")[2]), answer["ETag"]
        except (ClientError, BotoCoreError) as error:
            if _code(error) not in ("InvalidRange", "416"):
                raise _fault(self._uri, error) from error
        try:
            # No range of an empty object can be had.
            head = self._s3.head_object(**self._which)
        except (ClientError, BotoCoreError) as error:
            raise _fault(self._uri, error) from error
        return head["ContentLength"], head["ETag"]

    def _fetch(self, start: int) -> None:
        self._block, self._block_start = b"", start
        if start >= self.size:
            return
        try:
            self._block = self._get(start, IfMatch=self.etag)["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise _fault(self._uri, error) from error

    def _get(self, start: int, **condition: str) -> dict[str, Any]:
        last = start + READ_AHEAD_BYTES - 1
        answer: dict[str, Any] = self._s3.get_object(
            **self._which, Range=f"bytes={start}-{last}", **condition
        )
        return answer


@dataclass(frozen=True, slots=True)
class _Fault:
    """Errors that mean the same: codes of S3 (API reference, "Error responses") and botocore."""

    reason: Reason
    what: str
    codes: frozenset[str]
    errors: tuple[type[BotoCoreError], ...] = ()


_FAULTS = (
    _Fault(
        Reason.MISSING,
        "there is no such object: upload it, or correct the location",
        frozenset({"NoSuchKey", "NoSuchBucket", "NoSuchVersion", "404"}),
    ),
    _Fault(
        # Without s3:ListBucket a missing object looks forbidden too.
        Reason.FORBIDDEN,
        "forbidden to the job's role, or not there: allow it, or correct the location",
        frozenset({"AccessDenied", "403"}),
    ),
    _Fault(
        Reason.ARCHIVED,
        "it is in an archive of S3 Glacier: restore it, and send the request again",
        frozenset({"InvalidObjectState"}),
    ),
    _Fault(
        Reason.BAD_CREDENTIALS,
        "S3 did not accept the worker's credentials ({error}): check the role of the job "
        "definition, that no AWS_ACCESS_KEY_ID or AWS_PROFILE overrides it, and the clock",
        frozenset(
            {
                "AuthorizationHeaderMalformed",
                "ExpiredToken",
                "InvalidAccessKeyId",
                "InvalidToken",
                "RequestTimeTooSkewed",
                "SignatureDoesNotMatch",
                "TokenRefreshRequired",
            }
        ),
        (
            CredentialRetrievalError,
            NoCredentialsError,
            PartialCredentialsError,
            ProfileNotFound,
            SSOError,
            TokenRetrievalError,
        ),
    ),
    _Fault(
        Reason.STORE_REFUSED,
        "it was replaced while it was read",
        frozenset({"PreconditionFailed", "412"}),
    ),
    _Fault(
        Reason.STORE_UNAVAILABLE,
        "S3 is out of reach ({error})",
        frozenset(
            {
                "InternalError",
                "RequestTimeout",
                "ServiceUnavailable",
                "SlowDown",
                "500",
                "502",
                "503",
                "504",
            }
        ),
        (ConnectionFault, HTTPClientError, IncompleteReadError),
    ),
)


def _code(error: ClientError | BotoCoreError) -> str:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else ""


def _fault(uri: S3Uri, error: ClientError | BotoCoreError) -> StoreError:
    """The error in the contract's words."""
    for fault in _FAULTS:
        if _code(error) in fault.codes or isinstance(error, fault.errors):
            return StoreError(uri, fault.reason, fault.what.format(error=error))
    return StoreError(uri, Reason.STORE_REFUSED, f"S3 did not answer as it should ({error})")
