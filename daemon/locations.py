"""Which locations in S3 a request may name.

A pattern is `s3://<bucket>/<folder>/*` or `s3://<bucket>/*`. In the bucket, `*` stands for any
characters of a bucket's name; at the end it stands for all that is below the folder, at any depth;
it may stand nowhere else. `s3://calls/incoming/*` matches `s3://calls/incoming/2026/a.wav`, but
neither `s3://calls/incoming-2/a.wav` nor `s3://calls/incoming`. Keys are compared as S3 compares
them, byte by byte: nothing is decoded or tidied first. A key that something on the way might tidy
(with an empty, `.` or `..` part, or a control character) matches no pattern.

Anyone can own a bucket that `customer-*` matches: a `*` in the bucket of an output lets a producer
choose the account, as far as the role of the jobs may write there.
"""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from pydantic import GetCoreSchemaHandler
from pydantic_core import core_schema

from neuron_worker.contract import S3Uri

_PATTERN = re.compile(r"s3://(?P<bucket>[a-z0-9.*-]+)/(?P<folder>(?:[^*]+/)?)\*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class LocationPattern:
    """All locations below one folder; `folder` is empty for a whole bucket, or ends in a slash."""

    bucket: str
    folder: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a pattern. ValueError says what is wrong with anything else."""
        match = _PATTERN.fullmatch(text)
        if match is None:
            raise ValueError(f"expected s3://bucket/* or s3://bucket/folder/*, found {text!r}")
        if match["folder"] and not _is_plain(match["folder"].removesuffix("/")):
            raise ValueError(f"a folder has an empty, '.' or '..' part: {text!r}")
        return cls(match["bucket"], match["folder"])

    def matches(self, uri: S3Uri) -> bool:
        """Whether the object is below the folder."""
        below = uri.key.startswith(self.folder) and _is_plain(uri.key)
        return below and self._matches_bucket(uri.bucket)

    def matches_below(self, prefix: S3Uri) -> bool:
        """Whether all that is written below the prefix is below the folder."""
        return self.matches(prefix.join("any"))

    def overlaps(self, prefix: S3Uri) -> bool:
        """Whether something below the prefix could be below the folder too."""
        return self._matches_bucket(prefix.bucket) and _nested(self.folder, _folder(prefix))

    def _matches_bucket(self, bucket: str) -> bool:
        expected = "[a-z0-9.-]*".join(map(re.escape, self.bucket.split("*")))
        return re.fullmatch(expected, bucket) is not None

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.folder}*"

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: Any, _handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """In a settings file a pattern is text."""
        return core_schema.no_info_after_validator_function(
            cls.parse,
            core_schema.str_schema(),
            serialization=core_schema.to_string_ser_schema(),
        )


@dataclass(frozen=True, slots=True)
class AllowedLocations:
    """What requests may read and write. No pattern of an input allows all that the role may read.

    Transcripts may always go below `output`, and nothing is ever read or written in the ledger.
    """

    ledger: S3Uri
    output: S3Uri
    inputs: tuple[LocationPattern, ...] = ()
    outputs: tuple[LocationPattern, ...] = ()

    def refuse(self, audio: S3Uri, output: S3Uri) -> str | None:
        """Why a request for this audio, written to this output, is refused; None if it is not."""
        if overlap(audio, self.ledger):
            return f"audio: {audio} is in the ledger, which holds no recordings"
        if self.inputs and not any(pattern.matches(audio) for pattern in self.inputs):
            return f"audio: {audio} is not below an allowed location ({_listed(self.inputs)})"
        if output == self.output:
            return None
        if overlap(output, self.ledger):
            return f"output: {output} is in the ledger, where no transcript may go"
        own = LocationPattern(self.output.bucket, _folder(self.output))
        allowed = (own, *self.outputs)
        if not any(pattern.matches_below(output) for pattern in allowed):
            return f"output: {output} is not below an allowed location ({_listed(allowed)})"
        return None


def overlap(one: S3Uri, other: S3Uri) -> bool:
    """Whether one location is below the other, or is the other."""
    return one.bucket == other.bucket and _nested(_folder(one), _folder(other))


def _nested(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _folder(uri: S3Uri) -> str:
    """The key with one slash at its end; empty for a whole bucket."""
    return uri.join("").key.removeprefix("/")


def _is_plain(key: str) -> bool:
    parts = key.split("/")
    return not any(part in ("", ".", "..") for part in parts) and not any(
        unicodedata.category(character) == "Cc" for character in key
    )


def _listed(patterns: Iterable[LocationPattern]) -> str:
    return ", ".join(map(str, patterns))
