"""The stack: made, changed and deleted on moto's CloudFormation, and used for real in between."""

import ast
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest

from daemon.catalogue import instance_type
from daemon.cli.deploy import environment_of
from neuron_worker.contract import Ledger, Record, S3Uri, TranscriptFormat
from tests.jobs import RECORDINGS
from tests.ops.account import (
    NAME,
    Account,
    empty_account,
    furnish,
    launchable,
    outputs,
    parameters,
    recorded,
)
from tests.ops.permissions import Call, allows, calls
from tests.ops.template import ROOT
from tests.running import Daemon, wait_until

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")

QUICK = {
    "WHISPER_FLEET_PLANNER__LINGER_SECONDS": "1",
    "WHISPER_FLEET_RECONCILE__PERIOD_SECONDS": "1",
    "WHISPER_FLEET_INTAKE__WAIT_SECONDS": "1",
    "WHISPER_FLEET_AUTOSCALER__PERIOD_SECONDS": "1",
    "WHISPER_FLEET_MONITOR__PORT": "0",
}
"""Nobody waits for company in a test."""

SOON_BACK = {
    "WHISPER_FLEET_PLANNER__RANGE_MIN_SECONDS": "60",
    "WHISPER_FLEET_INTAKE__VISIBILITY_SECONDS": "30",
}
"""Recordings are cut, and what a killed daemon held comes back."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that is up."""

    account: Account
    outputs: Mapping[str, str]
    folder: Path

    @contextmanager
    def daemon(self, **variables: str) -> Iterator[Daemon]:
        """A daemon with the settings that the outputs make, and the permissions recorded."""
        config = self.folder / "daemon.toml"
        config.touch()
        settings = dict(
            line.partition("=")[::2] for line in environment_of(self.outputs).splitlines()
        )
        with pytest.MonkeyPatch.context() as patch:
            for name, value in (
                recorded(self.folder, "daemon") | settings | QUICK | variables
            ).items():
                patch.setenv(name, value)
            daemon = Daemon(config)
        try:
            yield daemon.wait_until_started()
        finally:
            daemon.close()

    def ask(self, request_id: str, audio: str, **more: Any) -> None:
        """Send a request."""
        body = {"audio": audio, "request_id": request_id, **more}
        self.account.client("sqs").send_message(
            QueueUrl=self.outputs["RequestsQueueUrl"], MessageBody=json.dumps(body)
        )

    def put(self, key: str, content: bytes) -> str:
        """Upload a recording."""
        bucket = self.outputs["RecordingsBucketName"]
        self.account.client("s3").put_object(Bucket=bucket, Key=key, Body=content)
        return f"s3://{bucket}/{key}"

    def record(self, request_id: str) -> Record | None:
        """What is known of a request that has found its end."""
        ledger = Ledger(S3Uri.parse(f"s3://{self.outputs['LedgerBucketName']}/"))
        uri = ledger.record(request_id)
        s3 = self.account.client("s3")
        try:
            content = s3.get_object(Bucket=uri.bucket, Key=uri.key)["Body"].read()
        except s3.exceptions.NoSuchKey:
            return None
        record = Record.model_validate_json(content)
        return record if record.done or record.dead_lettered_at else None

    def arrays(self) -> list[str]:
        """The ids of array jobs that have not ended."""
        found = self.account.batch.list_jobs(jobQueue=f"{NAME}-inf2-xlarge", jobStatus="PENDING")
        return [one["jobId"] for one in found["jobSummaryList"]][:1]

    def role_policy(self, name: str) -> dict[str, Any]:
        """The policy of a role of the stack, by its name in the template."""
        iam = self.account.client("iam")
        role = self.role(name)
        [inline] = iam.list_role_policies(RoleName=role)["PolicyNames"]
        found = iam.get_role_policy(RoleName=role, PolicyName=inline)
        # moto gives what Python calls it, not JSON.
        return dict(ast.literal_eval(found["PolicyDocument"]))

    def daemon_policy(self) -> dict[str, Any]:
        """The policy that a daemon gets, wherever it runs."""
        iam = self.account.client("iam")
        arn = self.outputs["DaemonPolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=arn, VersionId=version)
        return dict(found["PolicyVersion"]["Document"])

    def role(self, name: str) -> str:
        """What CloudFormation called a role of the template."""
        roles = self.account.client("iam").list_roles()["Roles"]
        [found] = [
            one["RoleName"] for one in roles if one["RoleName"].startswith(f"{NAME}-{name}-")
        ]
        return str(found)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    with empty_account(folder) as made:
        made.client("cloudformation").create_stack(
            StackName=NAME,
            TemplateBody=launchable(),
            Parameters=parameters(made, ImageTag="first"),
            Capabilities=["CAPABILITY_IAM"],
        )
        furnish(made)
        yield Stack(made, outputs(made), folder)


def test_a_request_goes_through_exactly_what_the_stack_made(stack: Stack) -> None:
    audio = stack.put("weather.mp3", (RECORDINGS / "weather.mp3").read_bytes())
    with stack.daemon() as daemon:
        stack.ask("whole", audio)
        record = wait_until("the request is done", lambda: stack.record("whole"))
        assert record.done is not None
        assert daemon.terminate() == 0
    transcript = S3Uri.parse(record.done.transcripts[TranscriptFormat.TXT])
    assert transcript.bucket == stack.outputs["TranscriptsBucketName"]
    found = stack.account.client("s3").get_object(Bucket=transcript.bucket, Key=transcript.key)
    assert "weather" in found["Body"].read().decode().lower()


def test_the_daemon_in_the_stack_is_told_the_same_as_one_elsewhere(stack: Stack) -> None:
    ecs = stack.account.client("ecs")
    task = ecs.describe_task_definition(taskDefinition=f"{NAME}-daemon")["taskDefinition"]
    [container] = task["containerDefinitions"]
    told = {one["name"]: one["value"] for one in container["environment"]}
    assert told.pop("AWS_DEFAULT_REGION") == "us-east-1"
    elsewhere = environment_of(stack.outputs).splitlines()
    assert told == dict(line.partition("=")[::2] for line in elsewhere)


def test_two_jobs_land_on_one_chip_and_never_three(stack: Stack) -> None:
    batch = stack.account.batch
    lane = f"{NAME}-inf2-xlarge"
    # Batch goes by these two alone. The embedded one would have a third job wait for a core.
    [definition] = batch.describe_job_definitions()["jobDefinitions"]
    asked = definition["containerProperties"]["resourceRequirements"]
    vcpus, memory_mib = (
        int(one["value"]) for one in sorted(asked, key=itemgetter("type"), reverse=True)
    )
    size = instance_type("inf2.xlarge")
    assert min(size.vcpus // vcpus, size.usable_memory_mib // memory_mib) == 2
    submitted = [
        batch.submit_job(
            jobName=f"chip-{number}",
            jobQueue=lane,
            jobDefinition=lane,
            containerOverrides={"command": ["sleep", "1"]},
        )["jobId"]
        for number in range(6)
    ]

    def ended() -> list[dict[str, Any]] | None:
        jobs: list[dict[str, Any]] = batch.describe_jobs(jobs=submitted)["jobs"]
        return jobs if all(one["status"] == "SUCCEEDED" for one in jobs) else None

    jobs = wait_until("all jobs have ended", ended)
    hosts = {one["container"]["containerInstanceArn"] for one in jobs}
    assert len(hosts) == 1, "four vCPUs are one instance"
    at_once = [
        sum(other["startedAt"] <= one["startedAt"] < other["stoppedAt"] for other in jobs)
        for one in jobs
    ]
    assert max(at_once) == 2


def test_every_call_is_allowed_and_every_allowed_action_is_used_or_explained(
    stack: Stack,
) -> None:
    """What daemon and workers do: requests done, bad, cut into ranges, adopted, given back."""
    audio = stack.put("archive.opus", (RECORDINGS / "archive.opus").read_bytes())
    with stack.daemon(**SOON_BACK) as daemon:
        stack.ask("bad", stack.put("not-audio.wav", b"no audio"))
        stack.ask("missing", audio.replace("archive", "nowhere"))
        stack.ask("cut", audio, duration_seconds=3600)
        stack.ask("running", audio)
        [array] = wait_until("an array job is under way", stack.arrays)
        daemon.kill()
    # One that fails has the daemon ask which of its children did.
    stack.account.batch.terminate_job(jobId=f"{array}:1", reason="to see what happens")
    with stack.daemon(**SOON_BACK) as daemon:
        for request_id in ("bad", "missing", "cut", "running"):
            wait_until(f"{request_id} has ended", partial(stack.record, request_id))
        stack.ask("held", audio)
        wait_until("it is held", lambda: daemon.metric("whisper_fleet_messages_received_total"))
        assert daemon.terminate() == 0
    folder = stack.folder / "calls"
    _assert_fits("daemon", calls(folder, "daemon"), stack.daemon_policy(), "DaemonPolicy")
    _assert_fits("job", calls(folder, "job"), stack.role_policy("JobRole"), "JobRole")


def _assert_fits(who: str, made: set[Call], policy: dict[str, Any], name: str) -> None:
    assert made, f"nothing was recorded of {who}"
    refused = sorted(f"{one.action} {one.resources}" for one in made if not allows(policy, one))
    assert not refused, f"{name} lacks what a {who} does:\n" + "\n".join(refused)
    used = {one.action for one in made}
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    unexplained = sorted(allowed - used - explained(name))
    assert not unexplained, f"{name} allows what no {who} did, and does not say why: {unexplained}"


def explained(resource: str) -> set[str]:
    """The actions of a role that have a comment beside them, in the template's source."""
    source = (ROOT / "cloudformation" / "template" / "roles.yaml.j2").read_text()
    lines = source.partition(f"\n{resource}:\n")[2].splitlines()
    block = []
    for line in lines:
        if line and not line.startswith((" ", "#", "{")):
            break
        block.append(line)
    found = (line.strip().removeprefix("- ").partition(" # ") for line in block)
    return {action.strip() for action, hash_sign, why in found if hash_sign and len(why) > 5}


@pytest.mark.parametrize("role", ["InstanceRole", "DaemonStartRole", "BuildRole"])
def test_every_action_of_a_role_that_no_test_can_play_is_explained(stack: Stack, role: str) -> None:
    policy = stack.role_policy(role)
    allowed = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert allowed <= explained(role)
