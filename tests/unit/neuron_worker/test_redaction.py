import io
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
import structlog

from daemon import logs
from neuron_worker.contract.redaction import redacted

SIGNATURE = "c1f0e3a9d27b46558e"
KEY = "AKIAIOSFODNN7EXAMPLE"

SECRETS = {
    "version 4": f"https://b.s3.amazonaws.com/a.wav?X-Amz-Date=1&X-Amz-Signature={SIGNATURE}",
    "version 4, a role": f"https://b/a?X-Amz-Security-Token={SIGNATURE}&X-Amz-Expires=60",
    "version 4, the scope": f"https://b/a?x-amz-credential={SIGNATURE}%2F20261127%2Fus-east-1",
    "version 2": f"https://b/a.wav?AWSAccessKeyId={KEY}&Expires=1&Signature={SIGNATURE}%3D",
    "before what gives it away": f"https://d.cloudfront.net/a?Policy={SIGNATURE}&Key-Pair-Id=K1",
    "Google": f"https://storage.googleapis.com/b/a?X-Goog-Signature={SIGNATURE}",
    "Azure": f"https://a.blob.core.windows.net/b/a?sv=2024&sig={SIGNATURE}",
    "inside another URL": f"https://p/?to=https%3A%2F%2Fb%2Fa%3FX-Amz-Signature%3D{SIGNATURE}",
    "without its URL": f"X-Amz-Signature={SIGNATURE}",
    "a header": f"Authorization: AWS4-HMAC-SHA256 Credential={KEY}/x, Signature={SIGNATURE}",
    "headers as Python shows them": f"{{'X-Amz-Security-Token': b'{SIGNATURE}'}}",
    "JSON": f'{{"SecretAccessKey": "{SIGNATURE}"}}',
    "JSON in JSON": json.dumps(json.dumps({"SessionToken": SIGNATURE})),
    "a setting": f"aws_secret_access_key = {SIGNATURE}",
    "an access key": f"the key {KEY} is inactive",
    "a password": f"https://user:{SIGNATURE}@host/a.wav",
}


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("text", SECRETS.values(), ids=SECRETS)
def test_a_secret_is_taken_out(text: str) -> None:
    kept = redacted(text)

    assert SIGNATURE not in kept
    assert KEY not in kept
    assert "REDACTED" in kept


@pytest.mark.parametrize(
    "name",
    [
        "X-Amz-Signature",
        "X-Goog-Credential",
        "x-amz-credential",
        "X-Amz-Security-Token",
        "Signature",
        "AWSAccessKeyId",
        "aws_access_key_id",
        "SecretAccessKey",
        "session_token",
        "SECURITY_TOKEN",
        "Password",
        "pa\N{LATIN SMALL LETTER LONG S}sword",
    ],
)
def test_what_stands_behind_the_name_of_a_secret_is_taken_out(name: str) -> None:
    assert redacted(f"{name}: {SIGNATURE}, and more") == f"{name}: REDACTED, and more"


@pytest.mark.parametrize("cut", range(60, 90))
def test_a_signed_url_that_was_cut_short_holds_nothing_either(cut: int) -> None:
    whole = SECRETS["version 4"]

    assert SIGNATURE[:3] not in redacted(whole[:cut])


@pytest.mark.parametrize(
    "text",
    [
        "s3://recordings/2026/board meeting?.m4a",
        "https://example.com/a.wav?take=2&signed=no",
        "the order wf-20261127T120000-0a1b2c3d was lost: no signature of a worker",
        "2026-11-27T12:00:00Z",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert redacted(text) == text


def test_no_field_and_no_exception_brings_a_secret_into_the_log_of_the_daemon() -> None:
    stream = io.StringIO()
    logs.configure(stream)
    log = structlog.get_logger()
    url = SECRETS["version 4"]

    log.info("odd", url=url, nested={"urls": [url]}, error=ValueError(url))
    try:
        raise ValueError(url)
    except ValueError:
        log.exception("broken")

    assert SIGNATURE not in stream.getvalue()
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert first["url"] == "https://b.s3.amazonaws.com/a.wav?REDACTED"
    assert "ValueError: https://b.s3.amazonaws.com/a.wav?REDACTED" in second["exception"]


def test_a_persons_terminal_shows_no_secret_either() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    logs.configure(stream)
    try:
        raise ValueError(SECRETS["version 4"])
    except ValueError:
        structlog.get_logger().exception("broken", url=SECRETS["version 2"])

    assert "broken" in stream.getvalue()
    assert SIGNATURE not in stream.getvalue()


def test_no_setting_brings_a_secret_into_the_log_of_the_worker() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "neuron_worker"],
        capture_output=True,
        text=True,
        env={"WHISPER_FLEET_ORDER": SECRETS["version 4"]},
        check=False,
    )

    assert json.loads(run.stderr)["event"] == "worker_misconfigured"
    assert SIGNATURE not in run.stderr
