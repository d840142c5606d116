"""The stack: made, changed and deleted on moto's CloudFormation, and used for real in between."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from daemon.cli.deploy import environment_of
from neuron_worker.contract import Ledger, Record, S3Uri
from tests.jobs import NAMES, RECORDINGS
from tests.ops.account import (
    NAME,
    Account,
    empty_account,
    furnish,
    launchable,
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

    def role_policy(self, name: str) -> dict[str, Any]:
        """The policy of a role of the stack, by its name in the template."""
        iam = self.account.client("iam")
        role = self.physical(name)
        [inline] = iam.list_role_policies(RoleName=role)["PolicyNames"]
        found: dict[str, Any] = iam.get_role_policy(RoleName=role, PolicyName=inline)
        return dict(found["PolicyDocument"])

    def daemon_policy(self) -> dict[str, Any]:
        """The policy that a daemon gets, wherever it runs."""
        iam = self.account.client("iam")
        arn = self.outputs["DaemonPolicyArn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = iam.get_policy_version(PolicyArn=arn, VersionId=version)
        return dict(found["PolicyVersion"]["Document"])

    def physical(self, name: str) -> str:
        """A resource's name at AWS."""
        found = self.account.client("cloudformation").describe_stack_resource(
            StackName=NAME, LogicalResourceId=name
        )
        return str(found["StackResourceDetail"]["PhysicalResourceId"])


def _outputs(account: Account) -> dict[str, str]:
    [stack] = account.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


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
        yield Stack(made, _outputs(made), folder)


def test_a_request_goes_through_exactly_what_the_stack_made(stack: Stack) -> None:
    audio = stack.put("weather.mp3", (RECORDINGS / "weather.mp3").read_bytes())
    with stack.daemon() as daemon:
        stack.ask("whole", audio)
        record = wait_until("the request is done", lambda: stack.record("whole"))
        assert record.done is not None
        assert daemon.terminate() == 0
    transcript = S3Uri.parse(record.done.transcripts["txt"])
    assert transcript.bucket == stack.outputs["TranscriptsBucketName"]
    found = stack.account.client("s3").get_object(Bucket=transcript.bucket, Key=transcript.key)
    assert "weather" in found["Body"].read().decode().lower()


def test_two_jobs_land_on_one_chip_and_never_three(stack: Stack) -> None:
    batch = stack.account.batch
    lane = f"{NAME}-inf2-xlarge"
    # Jobs that find no order end by themselves; how long they take does not matter.
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
    long = b"".join((RECORDINGS / name).read_bytes() for name in NAMES[:1])
    audio = stack.put("archive.opus", long)
    with stack.daemon(WHISPER_FLEET_PLANNER__RANGE_MIN_SECONDS="60") as daemon:
        stack.ask("bad", stack.put("not-audio.wav", b"no audio"))
        stack.ask("missing", audio.replace("archive", "nowhere"))
        stack.ask("cut", audio, duration_seconds=3600)
        stack.ask("running", audio)
        wait_until("an order is under way", lambda: daemon.metric("whisper_fleet_orders_open"))
        daemon.kill()
    with stack.daemon() as daemon:
        for request_id in ("bad", "missing", "cut", "running"):
            wait_until(f"{request_id} has ended", lambda name=request_id: stack.record(name))  # type: ignore[misc]
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


def test_a_new_image_makes_a_new_revision_and_a_new_task(stack: Stack) -> None:
    cloudformation = stack.account.client("cloudformation")
    ecs = stack.account.client("ecs")
    before = ecs.list_task_definitions()["taskDefinitionArns"]
    cloudformation.update_stack(
        StackName=NAME,
        TemplateBody=launchable(),
        Parameters=parameters(stack.account, ImageTag="second"),
        Capabilities=["CAPABILITY_IAM"],
    )
    assert _outputs(stack.account) == stack.outputs
    [task] = set(ecs.list_task_definitions()["taskDefinitionArns"]) - set(before)
    described = ecs.describe_task_definition(taskDefinition=task)["taskDefinition"]
    [container] = described["containerDefinitions"]
    assert container["image"].endswith("/daemon:second")
    moto = boto3.client("batch", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    images = [
        one["containerProperties"]["image"]
        for one in moto.describe_job_definitions()["jobDefinitions"]
    ]
    assert any(image.endswith("/worker:second") for image in images)


def test_without_images_there_is_neither_a_job_definition_nor_a_daemon(tmp_path: Path) -> None:
    with empty_account(tmp_path) as made:
        cloudformation = made.client("cloudformation")
        cloudformation.create_stack(
            StackName=NAME,
            TemplateBody=launchable(),
            Parameters=parameters(made),
            Capabilities=["CAPABILITY_IAM"],
        )
        assert "MetricsAddress" not in _outputs(made)
        assert not made.client("ecs").list_task_definitions()["taskDefinitionArns"]
        moto = boto3.client("batch", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
        assert not moto.describe_job_definitions()["jobDefinitions"]
        assert len(moto.describe_job_queues()["jobQueues"]) == 1


def test_a_deleted_stack_leaves_what_somebody_may_miss(tmp_path: Path) -> None:
    with empty_account(tmp_path) as made:
        cloudformation = made.client("cloudformation")
        cloudformation.create_stack(
            StackName=NAME,
            TemplateBody=launchable(),
            Parameters=parameters(made, ImageTag="first", Inf2XL48SpotMaxVcpus="192"),
            Capabilities=["CAPABILITY_IAM"],
        )
        outputs = _outputs(made)
        assert len(json.loads(outputs["Lanes"])) == 2
        cloudformation.delete_stack(StackName=NAME)
        assert not made.client("sqs").list_queues().get("QueueUrls")
        kept = {one["Name"] for one in made.client("s3").list_buckets()["Buckets"]}
        assert {outputs["RecordingsBucketName"], outputs["LedgerBucketName"]} <= kept
