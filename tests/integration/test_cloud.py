"""The small cloud itself."""

import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from tests.running import Cloud, running_cloud


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


def test_a_cloud_that_was_out_of_reach_is_where_it_was_and_knows_what_it_knew(
    cloud: Cloud,
) -> None:
    cloud.put("kept.wav", b"x")
    cloud.send("kept")
    at_once = Config(retries={"total_max_attempts": 1})
    s3, sqs, batch = (boto3.client(name, config=at_once) for name in ("s3", "sqs", "batch"))
    calls = [s3.list_buckets, sqs.list_queues, batch.describe_job_queues]
    with socket.create_connection(_address(s3.meta.endpoint_url)) as idle:
        for call in calls:
            call()

        with cloud.outage():
            assert idle.recv(1) == b"", "a connection survived"
            for call in calls:
                with pytest.raises(EndpointConnectionError):
                    call()
                with pytest.raises(EndpointConnectionError):
                    call()

    for call in calls:
        call()
    assert cloud.read("s3://recordings/kept.wav") == b"x"
    assert cloud.take_requests() == ["kept"]


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port
