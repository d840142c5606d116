"""A few seeds of `make chaos`, and whether the audit can fail at all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulation.mutations import MUTATIONS, Mutation, first_broken, mutate
from tests.simulation.play import play_seed

ROOT = Path(__file__).parents[2]
REQUESTS = 300


@pytest.mark.parametrize("seed", range(1, 5))
def test_no_disaster_breaks_a_promise(seed: int) -> None:
    assert play_seed(seed, REQUESTS).problems == []


def test_a_seed_plays_the_same_in_any_process() -> None:
    code = "from tests.simulation.play import play_seed; print(play_seed(3, 100).digest)"
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }

    assert len(digests) == 1


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.bug)
def test_every_deliberate_bug_fits_the_source(mutation: Mutation, tmp_path: Path) -> None:
    copy = tmp_path / mutation.path
    copy.parent.mkdir(parents=True)
    copy.write_text((ROOT / mutation.path).read_text())

    mutate(mutation, tmp_path)


def test_a_deliberate_bug_is_noticed() -> None:
    [unsent] = [one for one in MUTATIONS if one.bug == "give a request up without a dead letter"]

    noticed = first_broken(unsent, seeds=3, requests=100)

    assert noticed is not None
    assert "deleted before it was settled" in noticed
