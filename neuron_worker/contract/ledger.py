"""Where things stand in the ledger bucket.

    orders/open/<order>.json            the order: written before it is submitted
    orders/claims/<order>.json          which daemon may submit the order, and as which job it did
    orders/reports/<order>/<shard>.json what the shard's worker has done so far
    orders/closed/<order>.json          the order, once every request in it is settled
    records/<request>.json              all that is known of one request: its outcomes, its fate
    progress/<request>.json             what is transcribed of a long request, until it is done
    ranges/<request>/<number>-of-<count>.json   the same of one range of it
    ranges/<request>/cut-<number>-of-<count>.json   where that range begins
    spent/<day>.json                    what the fleet has cost that day

Writing the order under `open/` and moving it to `closed/` makes "what is under way?" one listing,
however many orders there have ever been.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Self

from pydantic import AfterValidator, Field

_URI = re.compile(r"^s3://(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(?P<key>.*)$", re.DOTALL)

_REPORT = re.compile(r"(?P<shard>[0-9]{5})\.json")

_CONTROL = re.compile(r"[\x00-\x1f]")

KEY_MAX_BYTES = 1_024
"""S3's bound on an object key, in UTF-8 bytes.

Source: docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
"""

PARSED_MAX = 256
"""Locations whose reading is remembered: a request's are read again at each of its stations."""


@dataclass(frozen=True, slots=True)
class S3Uri:
    """A bucket and a key; the key is empty for a whole bucket."""

    bucket: str
    key: str

    @classmethod
    @lru_cache(maxsize=PARSED_MAX)
    def parse(cls, text: str) -> Self:
        """Read `s3://bucket/key`. ValueError says what is wrong with anything else."""
        match = _URI.match(text)
        if match is None:
            raise ValueError(f"not an S3 location (expected s3://bucket/key): {text[:200]!r}")
        key = match["key"]
        if len(key.encode()) > KEY_MAX_BYTES:
            raise ValueError(f"the key is longer than S3's {KEY_MAX_BYTES} bytes")
        if _CONTROL.search(key):
            raise ValueError("the key holds a control character")
        if ".." in key.split("/"):
            raise ValueError("the key holds a '..' part")
        return cls(match["bucket"], key)

    def join(self, *parts: str) -> "S3Uri":
        """This location with more path behind it, one slash between each two parts."""
        head = [self.key.rstrip("/")] if self.key.rstrip("/") else []
        return S3Uri(self.bucket, "/".join([*head, *parts]))

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def _object_uri(text: str) -> str:
    uri = S3Uri.parse(text)
    if not uri.key or uri.key.endswith("/"):
        raise ValueError(f"names no object, only a bucket or a folder: {text[:200]!r}")
    return text


def _prefix_uri(text: str) -> str:
    S3Uri.parse(text)
    return text


ObjectUri = Annotated[str, AfterValidator(_object_uri), Field(pattern=r"^s3://")]
"""`s3://bucket/key` of one object."""

PrefixUri = Annotated[str, AfterValidator(_prefix_uri), Field(pattern=r"^s3://")]
"""`s3://bucket/` or `s3://bucket/prefix`, under which objects are written."""


@dataclass(frozen=True, slots=True)
class Ledger:
    """The keys of the ledger, below one location."""

    root: S3Uri

    @classmethod
    def holding(cls, open_order: S3Uri) -> Self:
        """The ledger that an open order's location belongs to."""
        root, slash, _ = open_order.key.rpartition("orders/open/")
        if not slash:
            raise ValueError(f"not the location of an open order: {open_order}")
        return cls(S3Uri(open_order.bucket, root))

    def open_order(self, order_id: str) -> S3Uri:
        """Where an order stands until it is settled whole."""
        return self.root.join("orders", "open", f"{order_id}.json")

    def claim(self, order_id: str) -> S3Uri:
        """Where it stands who may submit an order, and which job it became."""
        return self.root.join("orders", "claims", f"{order_id}.json")

    def closed_order(self, order_id: str) -> S3Uri:
        """Where an order stands once it is settled whole."""
        return self.root.join("orders", "closed", f"{order_id}.json")

    def open_orders(self) -> S3Uri:
        """The prefix of all open orders."""
        return self.root.join("orders", "open", "")

    def reports(self, order_id: str) -> S3Uri:
        """The prefix of an order's shard reports."""
        return self.root.join("orders", "reports", order_id, "")

    def report(self, order_id: str, shard_index: int) -> S3Uri:
        """Where one shard's worker reports."""
        return self.root.join("orders", "reports", order_id, f"{shard_index:05d}.json")

    def shard_index(self, report: S3Uri) -> int | None:
        """The shard that a report is about; None for something else that stands there."""
        match = _REPORT.fullmatch(report.key.rpartition("/")[2])
        return int(match["shard"]) if match else None

    def record(self, request_id: str) -> S3Uri:
        """Where all that is known of one request stands."""
        return self.root.join("records", f"{request_id}.json")

    def spent(self, day: str) -> S3Uri:
        """Where it stands what the fleet has cost on a day, YYYY-MM-DD."""
        return self.root.join("spent", f"{day}.json")

    def progress(self, request_id: str) -> S3Uri:
        """Where a worker saves what is transcribed of a request that takes long."""
        return self.root.join("progress", f"{request_id}.json")

    def range(self, request_id: str, number: int, count: int) -> S3Uri:
        """Where a worker saves what is transcribed of one range of a request."""
        return self.root.join("ranges", request_id, f"{number}-of-{count}.json")

    def cut(self, request_id: str, number: int, count: int) -> S3Uri:
        """Where it stands where a range begins, once one of its two neighbours knows."""
        return self.root.join("ranges", request_id, f"cut-{number}-of-{count}.json")
