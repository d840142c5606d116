"""Daemons that are killed with SIGKILL, again and again, with real workers at work."""

import os
import random
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest
import structlog

from daemon.claims import TAKEN_OVER_AFTER, Claim
from tests.clips import CLIPS
from tests.killed import LAST_LIFE_PATIENCE_SECONDS, Ordeal, audit, endure, job_names
from tests.running import Cloud, running_cloud, wait_until

SEED = int(os.environ.get("SEED", "1"))
"""Decides which clips are asked for, and when the daemons are killed."""

log = structlog.get_logger()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("requests", "kills"), [(40, 6), pytest.param(200, 20, marks=pytest.mark.long)]
)
def test_nothing_is_lost_or_done_twice_however_often_the_daemon_is_killed(
    tmp_path: Path, requests: int, kills: int
) -> None:
    with running_cloud(tmp_path) as cloud, closing(Ordeal(cloud, random.Random(SEED))) as ordeal:
        endure(ordeal, requests, kills)
        findings = audit(ordeal)
        log.info("daemons_killed", seed=SEED, moments=ordeal.kills, findings=findings)
        assert findings.transcribed_again == findings.ordered_again == 0
        assert not findings.failures


@pytest.mark.long
@pytest.mark.timeout(600)
def test_an_order_that_was_claimed_and_never_submitted_is_submitted_once_the_claim_is_old(
    cloud: Cloud,
) -> None:
    audio = cloud.put(CLIPS[0].name, CLIPS[0].content())
    with cloud.daemon() as first, cloud.outage(cloud.parts.services.batch):
        cloud.send({"audio": audio, "request_id": "claimed"})
        order = wait_until("the order is written", lambda: first.event("order_written"))
        order_id = str(order["order_id"])
        wait_until("it is claimed", lambda: cloud.keys("ledger", f"orders/claims/{order_id}"))
        first.kill()
    claim = Claim.model_validate_json(cloud.read(str(cloud.ledger.claim(order_id))))
    assert claim.job_id is None

    with cloud.daemon() as second:
        record = cloud.fate("claimed", LAST_LIFE_PATIENCE_SECONDS)
        submitted = second.event("order_submitted", order_id=order_id)

    assert record.done
    assert submitted
    waited = datetime.fromisoformat(submitted["timestamp"]) - claim.claimed_at
    assert waited > TAKEN_OVER_AFTER
    assert job_names(cloud) == [order_id]
