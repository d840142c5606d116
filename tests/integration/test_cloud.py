"""The small cloud itself."""

import os
from pathlib import Path

import pytest

from tests.running import running_cloud


def test_a_cloud_begins_empty_whatever_the_one_before_it_held(tmp_path: Path) -> None:
    with running_cloud(tmp_path / "one") as first:
        first.put("left-behind.wav", b"x")
        first.send("left behind")
    with running_cloud(tmp_path / "two") as second:
        assert second.depth() == (0, 0)
        assert "Contents" not in second.s3.list_objects_v2(Bucket="recordings")


def test_a_cloud_never_speaks_to_the_account_of_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "secret")
    monkeypatch.setenv("WHISPER_FLEET_QUEUES__REQUESTS", "https://sqs/production")
    with running_cloud(tmp_path) as cloud:
        assert "127.0.0.1" in cloud.sqs.meta.endpoint_url
        assert "127.0.0.1" in cloud.batch.meta.endpoint_url
        assert "AWS_PROFILE" not in os.environ
        assert "AWS_SESSION_TOKEN" not in os.environ
        assert "WHISPER_FLEET_QUEUES__REQUESTS" not in os.environ
    assert os.environ["AWS_PROFILE"] == "production"
