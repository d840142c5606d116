"""Daemons that are killed with SIGKILL, again and again, with real workers at work."""

import random
from contextlib import closing
from pathlib import Path

import pytest
import structlog

from tests.killed import Ordeal, audit, endure
from tests.running import running_cloud

log = structlog.get_logger()


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("requests", "kills"),
    [(40, 6), pytest.param(200, 20, marks=pytest.mark.long)],
)
def test_nothing_is_lost_or_done_twice_however_often_the_daemon_is_killed(
    tmp_path: Path, requests: int, kills: int
) -> None:
    with running_cloud(tmp_path) as cloud, closing(Ordeal(cloud, random.Random(kills))) as ordeal:
        endure(ordeal, requests, kills)
        findings = audit(ordeal)
        log.info("daemons_killed", **ordeal.kills, findings=findings)
        assert findings.transcribed_again == findings.ordered_again == 0
        assert not findings.failures
