"""`whisper-fleet deploy`, as a person types it, against moto's CloudFormation and CodeBuild."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.account import NAME, Account, empty_account, launchable
from tests.running import console

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")

KNOWN = ("--parameter", "Profile=tiny.en", "--parameter", "Model=tiny.en")


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Account]:
    with empty_account(tmp_path) as made:
        role = made.client("iam").create_role(RoleName="build", AssumeRolePolicyDocument="{}")
        for kind in ("daemon", "worker"):
            # moto's CloudFormation makes no project, but it has CodeBuild.
            made.client("codebuild").create_project(
                name=f"{NAME}-{kind}",
                source={"type": "S3", "location": "bucket/source.zip"},
                artifacts={"type": "NO_ARTIFACTS"},
                environment={
                    "type": "LINUX_CONTAINER",
                    "image": "image",
                    "computeType": "BUILD_GENERAL1_SMALL",
                },
                serviceRole=role["Role"]["Arn"],
            )
        yield made


@pytest.fixture
def template(tmp_path: Path) -> Path:
    found = json.loads(launchable())
    for kind in ("Daemon", "Worker"):
        found["Outputs"][f"{kind}BuildName"] = {"Value": f"{NAME}-{kind.lower()}"}
    path = tmp_path / "template.json"
    path.write_text(json.dumps(found))
    return path


def _deploy(template: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return console("deploy", "--name", NAME, "--template", str(template), *arguments)


def _stacks(account: Account) -> dict[str, dict[str, str]]:
    """The parameters of each stack that is up, by name."""
    found = account.client("cloudformation").describe_stacks()["Stacks"]
    return {
        one["StackName"]: {
            pair["ParameterKey"]: pair["ParameterValue"] for pair in one["Parameters"]
        }
        for one in found
        if not one["StackStatus"].startswith("DELETE")
    }


def _buckets(account: Account) -> list[str]:
    return [one["Name"] for one in account.client("s3").list_buckets()["Buckets"]]


def test_a_dry_run_shows_every_resource_and_leaves_nothing(empty: Account, template: Path) -> None:
    done = _deploy(template, *KNOWN, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "RequestsQueue" in done.stdout
    assert "AWS::SQS::Queue" in done.stdout
    assert "both images would be built" in done.stdout
    assert _stacks(empty) == {}
    assert _buckets(empty) == []


def test_a_new_stack_is_made_in_the_default_network_and_gets_the_images_of_the_commit(
    empty: Account, template: Path, tmp_path: Path
) -> None:
    variables = tmp_path / "daemon.env"
    done = _deploy(template, *KNOWN, "--environment-out", str(variables))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "CREATE_COMPLETE" in done.stdout
    assert f"{NAME}-worker: succeeded" in done.stdout
    assert "RequestsQueueUrl" in done.stdout

    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    parameters = _stacks(empty)[NAME]
    assert parameters["ImageTag"].startswith(f"{commit}-")
    ec2 = empty.client("ec2")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    assert parameters["VpcId"] == vpc["VpcId"]
    assert "rtb-" in parameters["RouteTableIds"]

    bucket = parameters["SourceBucket"]
    assert bucket in _buckets(empty)
    source = empty.client("s3").get_object(Bucket=bucket, Key="source.zip")["Body"].read()
    assert source.startswith(b"PK")
    settings = dict(line.partition("=")[::2] for line in variables.read_text().splitlines())
    lanes = json.loads(settings["WHISPER_FLEET_LANES"])
    assert [lane["instance_type"] for lane in lanes] == ["inf2.xlarge"]
    assert settings["WHISPER_FLEET_QUEUES__REQUESTS"].endswith(f"/{NAME}-requests")


def test_what_is_not_given_stays_as_it_is(empty: Account, template: Path) -> None:
    tag = ("--image-tag", "first")
    assert _deploy(template, *KNOWN, *tag, "-p", "Inf2XLMaxVcpus=8").returncode == 0
    done = _deploy(template, "--image-tag", "second", "-p", "DollarsPerDay=50")
    assert done.returncode == 0, done.stdout + done.stderr
    parameters = _stacks(empty)[NAME]
    assert parameters["Inf2XLMaxVcpus"] == "8"
    assert parameters["Profile"] == "tiny.en"
    assert parameters["ImageTag"] == "second"
    assert parameters["DollarsPerDay"] == "50"


def test_what_holds_something_goes_only_when_it_is_meant(empty: Account, template: Path) -> None:
    tag = ("--image-tag", "first")
    assert _deploy(template, *KNOWN, *tag).returncode == 0
    less = json.loads(template.read_text())
    for part in ("Job", "Queue", "Environment"):
        del less["Resources"][f"Inf2XL{part}"]
    template.write_text(json.dumps(less))

    refused = _deploy(template, *tag, "-p", "Inf2XLMaxVcpus=0")
    assert refused.returncode == 1
    assert "Inf2XLEnvironment, Inf2XLQueue would be removed or replaced" in refused.stderr
    assert _stacks(empty)[NAME]["Inf2XLMaxVcpus"] == "64"
    meant = _deploy(template, *tag, "-p", "Inf2XLMaxVcpus=0", "--yes")
    assert meant.returncode == 0, meant.stdout + meant.stderr
    assert _stacks(empty)[NAME]["Inf2XLMaxVcpus"] == "0"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-p", "Inf2XLMaxVcpu=8"], "there is no 'Inf2XLMaxVcpu', only VpcId"),
        (["-p", "Inf2XLMaxVcpus"], "'Inf2XLMaxVcpus' is not KEY=VALUE"),
        (["-p", "VpcId=vpc-1"], "give SecurityGroupIds, SubnetIds as well"),
        (["--name", "Speech"], "is not 1 to 23 small letters"),
    ],
)
def test_a_mistake_is_named_before_anything_is_made(
    empty: Account, template: Path, arguments: list[str], words: str
) -> None:
    done = _deploy(template, *arguments, "--dry-run")
    assert done.returncode == 1
    assert words in done.stderr
    assert _stacks(empty) == {}


def test_a_region_without_the_instances_is_named(empty: Account, template: Path) -> None:
    ec2 = empty.client("ec2")
    offered = ec2.describe_instance_type_offerings(
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": ["inf2.xlarge"]}],
    )["InstanceTypeOfferings"]
    zones = {one["Location"] for one in offered}
    for subnet in ec2.describe_subnets()["Subnets"]:
        if subnet["AvailabilityZone"] in zones:
            ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    assert ec2.describe_subnets()["Subnets"]
    done = _deploy(template, *KNOWN)
    assert done.returncode == 1
    assert "no subnet in an Availability Zone with inf2.xlarge" in done.stderr
