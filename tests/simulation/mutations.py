"""`make mutations`: deliberate bugs, each of which the seeds must notice.

A mutation replaces one piece of the dispatcher's source, in a copy of it. A bug that no seed
notices would mean that the audit, or the disasters, are not hard enough; so would a seed that
complains of the source as it is.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[2]
COPIED = ("daemon", "neuron_worker", "tests/simulation", "config")


@dataclass(frozen=True, slots=True)
class Mutation:
    """A bug: what is done wrong, and how the source has to be changed for it."""

    bug: str
    path: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "call a recording done when one of its ranges is",
        "daemon/reconcile.py",
        "            outcomes = [*filter(is_decided, outcomes)]\n",
        "            done = {'kind': OutcomeKind.DONE}\n"
        "            outcomes = [\n"
        "                one.model_copy(update=done) if one.kind == 'range_done' else one\n"
        "                for one in outcomes\n"
        "            ]\n",
    ),
    Mutation(
        "delete a message that is to be tried again",
        "daemon/settle.py",
        "        self._retry(owed, outcome, record, judged)\n        return Fate.RETRY, outcome\n",
        "        return Fate.DEAD_LETTER, outcome\n",
    ),
    Mutation(
        "delete a message as soon as it is received",
        "daemon/intake.py",
        "        self.outstanding.admit(owed)\n",
        "        self.outstanding.admit(owed)\n"
        "        await self.requests.delete([message.receipt_handle])\n",
    ),
    Mutation(
        "forget the heartbeat",
        "daemon/heartbeat.py",
        "        failed = await self._requests.extend(handles, self._visibility_seconds)\n",
        "        failed: set[str] = set()\n",
    ),
    Mutation(
        "submit an order before it is in the ledger",
        "daemon/orders.py",
        "        if not opened.written:\n"
        "            await self._write(opened)\n"
        "        elif not await self._read_claim(opened):\n"
        "            self._let_go(opened)\n"
        "            return\n"
        "        if opened.job_id is None:\n"
        "            await self._obtain_job(opened)\n",
        "        if opened.job_id is None:\n"
        "            await self._obtain_job(opened)\n"
        "        if not opened.written:\n"
        "            await self._write(opened)\n",
    ),
    Mutation(
        "take over a claim before its job can be listed",
        "daemon/claims.py",
        "        return now - self.claimed_at > TAKEN_OVER_AFTER\n",
        "        return now > self.claimed_at\n",
    ),
    Mutation(
        "submit again when no answer came",
        "daemon/orders.py",
        "        opened.unsure = True\n",
        "        opened.unsure = False\n",
    ),
    Mutation(
        "count infrastructure's failures as blame",
        "daemon/settle.py",
        "        spent = failures >= settings.infrastructure_attempts_max and not outage\n",
        "        spent = failures >= settings.attempts_max\n",
    ),
    Mutation(
        "blame the neighbours of a request that kills its worker",
        "daemon/blame.py",
        "        suspected = item.request_id in suspects\n",
        "        suspected = True\n",
    ),
    Mutation(
        "retry a suspect in company",
        "daemon/settle.py",
        "    return Verdict(Fate.RETRY, delay, alone)\n",
        "    return Verdict(Fate.RETRY, delay, alone=False)\n",
    ),
    Mutation(
        "give a request up without a dead letter",
        "daemon/settle.py",
        "    await dead_letters.send([letter_about(body, record, log_stream)])\n",
        "",
    ),
    Mutation(
        "note a dead letter before it is sent",
        "daemon/settle.py",
        "    await dead_letters.send([letter_about(body, record, log_stream)])\n"
        "    await records.letter_sent(record)\n",
        "    await records.letter_sent(record)\n"
        "    await dead_letters.send([letter_about(body, record, log_stream)])\n",
    ),
    Mutation(
        "forget what a dead worker left undone",
        "daemon/reconcile.py",
        "            await self._settle_left(opened, shard_index, end)\n",
        "            await asyncio.sleep(0)\n",
    ),
    Mutation(
        "believe that a request is done when only its job has ended",
        "daemon/blame.py",
        "                kind=reason.kind,\n                reason=reason,\n",
        "                kind=OutcomeKind.DONE,\n",
    ),
    Mutation(
        "drop the second copy of a request without a look at the record",
        "daemon/intake.py",
        "            self._join(known, owed, message)\n            return\n"
        "        if self.outstanding.recently_finished(request_id):\n",
        "            await self._drop(message, request_id, 'outstanding')\n            return\n"
        "        if self.outstanding.recently_finished(request_id):\n",
    ),
    Mutation(
        "adopt no order of a daemon that is gone",
        "daemon/orders.py",
        "            strange = [entry.uri for entry in listed if self._is_strange(entry.uri)]\n",
        "            strange: list[S3Uri] = []\n",
    ),
)
"""What the design forbids, one line of code each."""


def main() -> int:
    """Run the seeds against every mutation; 1 when one is not noticed."""
    parser = argparse.ArgumentParser(prog="make mutations", description=__doc__)
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--only", default="", help="mutations whose bug contains this text")
    options = parser.parse_args()
    console = Console(soft_wrap=True, highlight=False)
    if (broken := first_broken(None, options.seeds, options.requests)) is not None:
        console.print(f"[red]without any bug:[/] {broken}")
        return 1
    table = Table("bug", "noticed by", "how", box=None)
    survivors = []
    for mutation in MUTATIONS:
        if options.only not in mutation.bug:
            continue
        noticed = first_broken(mutation, options.seeds, options.requests)
        console.print(f"{'noticed' if noticed else '[red]SURVIVED[/]'}: {mutation.bug}")
        if noticed is None:
            survivors.append(mutation)
            table.add_row(mutation.bug, "[red]no seed[/]", "")
        else:
            seed, _, problem = noticed.partition(": ")
            table.add_row(mutation.bug, seed, problem[:90])
    console.print(table)
    return 1 if survivors else 0


def mutate(mutation: Mutation, root: Path) -> None:
    """Apply a mutation to a copy of the source. ValueError when it does not fit exactly once."""
    file = root / mutation.path
    source = file.read_text()
    if source.count(mutation.old) != 1:
        raise ValueError(f"{mutation.bug}: {mutation.path} does not hold the old code just once")
    file.write_text(source.replace(mutation.old, mutation.new))


def first_broken(mutation: Mutation | None, seeds: int, requests: int) -> str | None:
    """`seed N: problem` of the first seed that notices a mutation; None if none does.

    Without a mutation, none may.
    """
    with tempfile.TemporaryDirectory(prefix="mutation-") as folder:
        root = Path(folder)
        for name in COPIED:
            shutil.copytree(
                ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "*.npz")
            )
        if mutation is not None:
            mutate(mutation, root)
        command = [sys.executable, "-m", "tests.simulation", "--until-broken"]
        command += ["--seeds", str(seeds), "--requests", str(requests)]
        ended = subprocess.run(
            command,
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
        )
    told = [line.strip() for line in ended.stdout.splitlines()]
    problems = [line for line in told if line.startswith("seed ") and ": " in line]
    if ended.returncode and not problems:
        return f"seed ?: the daemon does not even start ({ended.stderr.strip()[-200:]})"
    return problems[0] if problems else None


if __name__ == "__main__":
    sys.exit(main())
