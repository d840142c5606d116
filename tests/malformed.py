"""Message bodies that can never become a request, with the reason each must be given."""

import json

AUDIO = "s3://recordings/a.wav"

SIGNATURE = "5d1c8e0b7f3a4e96"
SIGNED_URL = (
    f"https://recordings.s3.amazonaws.com/a.wav?X-Amz-Expires=9&X-Amz-Signature={SIGNATURE}"
)

BY_THE_SETTINGS = ("unknown_profile", "location_not_allowed")
"""Reasons that only a daemon with its settings can give."""


def _with(**fields: object) -> str:
    return json.dumps({"audio": AUDIO, **fields})


def _notification(**changes: object) -> dict[str, object]:
    return {
        "eventSource": "aws:s3",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "recordings"}, "object": {"key": "a.wav", "size": 3}},
        **changes,
    }


MALFORMED = {
    "empty object": ("{}", "invalid_field"),
    "blank": (" ", "not_json"),
    "plain words": ("please transcribe my file", "not_json"),
    "cut off": ('{"audio": "s3://recordings/a.wav"', "not_json"),
    "single quotes": ("{'audio': 's3://recordings/a.wav'}", "not_json"),
    "a list": ('["s3://recordings/a.wav"]', "not_a_request"),
    "a string": ('"s3://recordings/a.wav"', "not_a_request"),
    "a number": ("42", "not_a_request"),
    "null": ("null", "not_a_request"),
    "larger than any request": (json.dumps({"audio": AUDIO, "x": "y" * 300_000}), "too_large"),
    "larger in bytes than in characters": ('"' + "€" * 100_000 + '"', "too_large"),
    "deeply nested": ("[" * 100_000 + "]" * 100_000, "not_json"),
    "audio missing": ('{"request_id": "r1"}', "invalid_field"),
    "audio null": ('{"audio": null}', "invalid_field"),
    "audio a number": ('{"audio": 7}', "invalid_field"),
    "audio a web address": ('{"audio": "https://example.com/a.wav"}', "invalid_field"),
    "audio a local path": ('{"audio": "/etc/passwd"}', "invalid_field"),
    "audio only a bucket": ('{"audio": "s3://recordings"}', "invalid_field"),
    "audio a folder": ('{"audio": "s3://recordings/2026/"}', "invalid_field"),
    "audio climbing": ('{"audio": "s3://recordings/../secrets/a.wav"}', "invalid_field"),
    "audio key too long": (json.dumps({"audio": "s3://b-ucket/" + "x" * 1025}), "invalid_field"),
    "bucket in capitals": ('{"audio": "s3://Recordings/a.wav"}', "invalid_field"),
    "unknown field": (_with(audi0="x"), "invalid_field"),
    "request id with a slash": (_with(request_id="a/b"), "invalid_field"),
    "request id empty": (_with(request_id=""), "invalid_field"),
    "request id too long": (_with(request_id="x" * 129), "invalid_field"),
    "request id a number": (_with(request_id=1), "invalid_field"),
    "language in words": (_with(language="English"), "invalid_field"),
    "unknown task": (_with(task="summarise"), "invalid_field"),
    "unknown format": (_with(formats=["docx"]), "invalid_field"),
    "formats a string": (_with(formats="srt"), "invalid_field"),
    "no formats": (_with(formats=[]), "invalid_field"),
    "unknown timestamps": (_with(timestamps="phoneme"), "invalid_field"),
    "duration negative": (_with(duration_seconds=-1), "invalid_field"),
    "duration a string": (_with(duration_seconds="60"), "invalid_field"),
    "a priority above all": (_with(priority=11), "invalid_field"),
    "a priority in words": (_with(priority="high"), "invalid_field"),
    "a deadline without a time zone": (_with(deadline="2026-12-01T08:00:00"), "invalid_field"),
    "a deadline in words": (_with(deadline="tomorrow"), "invalid_field"),
    "duration of a month": (_with(duration_seconds=2.6e6), "invalid_field"),
    "output no location": (_with(output="transcripts/"), "invalid_field"),
    "metadata a list": (_with(metadata=[1, 2]), "invalid_field"),
    "metadata too large": (_with(metadata={"k": "x" * 9000}), "invalid_field"),
    "metadata nested deeply": (
        _with(metadata={"k": [[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}),
        "invalid_field",
    ),
    "metadata not a number": (_with(metadata={"k": float("nan")}), "invalid_field"),
    "metadata infinite": (
        '{"audio": "s3://recordings/a.wav", "metadata": {"k": 1e999}}',
        "invalid_field",
    ),
    "audio a signed address": (_with(audio=SIGNED_URL), "invalid_field"),
    "audio in the ledger": (_with(audio="s3://ledger/records/a.json"), "location_not_allowed"),
    "output in the ledger": (_with(output="s3://ledger/records"), "location_not_allowed"),
    "output anywhere": (_with(output="s3://recordings/"), "location_not_allowed"),
    "prompt too long": (_with(prompt="x" * 1001), "invalid_field"),
    "unknown profile": (_with(profile="gigantic-v9"), "unknown_profile"),
    "event of too many": (json.dumps({"Records": [_notification()] * 101}), "invalid_field"),
    "event of nothing": ('{"Records": []}', "invalid_field"),
    "event of another service": (
        json.dumps({"Records": [_notification(eventSource="aws:sns")]}),
        "invalid_field",
    ),
    "event of a removal": (
        json.dumps({"Records": [_notification(eventName="ObjectRemoved:Delete")]}),
        "unsupported_event",
    ),
    "event without a key": (
        json.dumps({"Records": [_notification(s3={"bucket": {"name": "recordings"}})]}),
        "invalid_field",
    ),
    "event of a folder": (
        json.dumps(
            {
                "Records": [
                    _notification(s3={"bucket": {"name": "recordings"}, "object": {"key": "a/"}})
                ]
            }
        ),
        "invalid_field",
    ),
    "bridge event of a deletion": (
        json.dumps({"source": "aws.s3", "detail-type": "Object Deleted", "detail": {}}),
        "unsupported_event",
    ),
    "bridge event without detail": (
        json.dumps({"source": "aws.s3", "detail-type": "Object Created"}),
        "invalid_field",
    ),
}
"""By name: the body, and the reason in its dead letter."""
