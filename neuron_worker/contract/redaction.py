"""Secrets taken out of what people read: logs, dead letters, records.

A signed URL is a password for whoever reads it, so nothing of its query is kept. What is no URL is
looked through for named secrets and for AWS access keys, because an error may quote anything.
"""

import re
from typing import Any

REDACTED = "REDACTED"

_SIGNED_BY = re.compile(
    r"(?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|Signature|AWSAccessKeyId"
    r"|Key-Pair-Id|sig)(?:=|%3D)",
    re.IGNORECASE,
)
"""The parameters of URLs signed for S3 (versions 4 and 2), CloudFront, Google and Azure.

Source: docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html and RESTAuthentication
"""

_QUERY = re.compile(r"\?[^\s?\"'\\<>]+")

_NAMED = re.compile(
    r"((?:X-(?:Amz|Goog)-(?:Signature|Credential|Security-Token)|\bSignature|AWSAccessKeyId"
    r"|aws_?access_?key_?id|secret_?access_?key|session_?token|security_?token|\bpassword)"
    r"(?:%3D|[\\\"']*\s*[:=]\s*(?:b(?=['\"]))?[\\\"']*))"
    r"[^\s&\"'\\<>,;)}\]]+",
    re.IGNORECASE,
)
"""A secret behind its name, as in a query that was cut, a header, a setting or a JSON document."""

_IN_NAMES = ("access", "credential", "password", "signature", "token")
"""Each of those names holds one of these, and hardly any line does: to look for them first takes a
tenth of the time."""

_AUTHORITY = re.compile(r"(://)[^\s/@:\"'\\]+:[^\s/@\"'\\]+@")
"""A user and a password in a URL."""

_ACCESS_KEY = re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b")
"""Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html, unique IDs"""


def redacted(text: str) -> str:
    """The text without signatures, credentials and tokens; in linear time, whatever it holds."""
    text = _QUERY.sub(_without_signature, text)
    folded = text.casefold()
    if any(part in folded for part in _IN_NAMES):
        text = _NAMED.sub(rf"\1{REDACTED}", text)
    text = _AUTHORITY.sub(rf"\1{REDACTED}@", text)
    return _ACCESS_KEY.sub(REDACTED, text)


def redact_line(_logger: object, _method: str, line: Any) -> str:
    """The last of structlog's processors: the whole line, with its exception, as it is written."""
    return redacted(line)


def _without_signature(query: re.Match[str]) -> str:
    return f"?{REDACTED}" if _SIGNED_BY.search(query[0]) else query[0]
