"""SQS, S3 and Batch are out of reach while there is work, and come back."""

import random
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
import structlog

from tests.killed import Ordeal, audit
from tests.running import Daemon, running_cloud, wait_until
from tests.workers import in_hand

log = structlog.get_logger()


@pytest.mark.timeout(900)
def test_an_outage_costs_time_and_nothing_else(tmp_path: Path) -> None:
    with running_cloud(tmp_path) as cloud, closing(Ordeal(cloud, random.Random(1))) as ordeal:
        daemon = ordeal.begin().wait_until_started()
        assert daemon.get("/readyz") == (200, "ok")
        ordeal.send(20)
        order = wait_until("the order is with Batch", lambda: daemon.event("order_submitted"))
        wait_until("a request is in hand", lambda: in_hand(cloud, str(order["order_id"])))

        with cloud.outage():
            """Only connections break."""
        ordeal.send(10)
        wait_until("a request is done", lambda: daemon.event("request_done"))

        with cloud.outage():
            for service in ("sqs", "batch"):
                wait_until(
                    f"it is not ready without {service}", partial(not_ready, daemon, service)
                )
            assert daemon.get("/healthz") == (200, "ok"), "a restart would not help"
        wait_until("it is ready again", lambda: daemon.get("/readyz") == (200, "ok"))

        ordeal.send(10)
        ordeal.finish()
        findings = audit(ordeal)
        log.info("outages_endured", findings=findings)
        assert findings.transcribed_again == 0


def not_ready(daemon: Daemon, service: str) -> bool:
    """Whether the daemon says that it cannot work without that service."""
    status, words = daemon.get("/readyz")
    return status == 503 and f"{service} is out of reach" in words
