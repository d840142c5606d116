"""An empty AWS account: moto's, over HTTP, and an embedded Batch that is furnished from a stack.

moto's CloudFormation is not AWS's. What it cannot make is left out here, and nothing else:
`LEFT_OUT` names it, so that it is known what a test shows and what it does not.
"""

import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.cloudformation import parsing
from moto.cloudformation.models import ChangeSet

from daemon.embedded.batch.service import EmbeddedBatch
from daemon.embedded.cloud import aws_variables
from daemon.embedded.s3 import EmbeddedS3
from tests.ops.template import template
from tests.running import kept_up

NAME = "speech"
IMAGE = {"WHISPER_FLEET_MODEL": "tiny.en", "WHISPER_FLEET_THREADS": "1"}
"""What the worker's image would set."""

RECORDER = Path(__file__).parent / "recorder"

LEFT_OUT = {
    "AWS::Budgets::Budget",
    "AWS::CloudWatch::Alarm",
    "AWS::CodeBuild::Project",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::QueuePolicy",
    "AWS::ServiceDiscovery::PrivateDnsNamespace",
    "AWS::ServiceDiscovery::Service",
}
"""Types that moto makes nothing of."""

COMMAND = [sys.executable, "-m", "neuron_worker"]
"""The ENTRYPOINT of the worker's image: there is no image here."""

AMI = "ami-12c6146b"

SERVICE_ROLE = "batch"
"""moto wants a compute environment to name one; AWS takes its own service-linked role."""


@dataclass(frozen=True, slots=True)
class Account:
    """Clients of an account, and how processes are to reach it."""

    environment: Mapping[str, str]

    def client(self, service: str) -> Any:
        """boto3's, of moto."""
        return boto3.client(service, endpoint_url=self.environment["AWS_ENDPOINT_URL"])

    @property
    def batch(self) -> Any:
        """The embedded Batch's, where jobs run."""
        return boto3.client("batch", endpoint_url=self.environment["AWS_ENDPOINT_URL_BATCH"])


@contextmanager
def empty_account(folder: Path) -> Iterator[Account]:
    """An account while the block runs; AWS variables of this process point at it."""
    with kept_up(_account(folder)) as account, pytest.MonkeyPatch.context() as patch:
        for name in [*os.environ]:
            if name.startswith(("AWS_", "WHISPER_FLEET_")):
                patch.delenv(name)
        for name, value in account.environment.items():
            patch.setenv(name, value)
        _drop_no_value(patch)
        _keep_what_a_change_set_says(patch)
        account.client("iam").create_role(RoleName=SERVICE_ROLE, AssumeRolePolicyDocument="{}")
        yield account


@asynccontextmanager
async def _account(folder: Path) -> AsyncIterator[Account]:
    async with EmbeddedS3() as moto:
        aws = aws_variables(moto.endpoint_url, moto.endpoint_url)
        inherited = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"]}
        async with EmbeddedBatch(
            log_folder=folder / "jobs",
            environment=inherited | aws | recorded(folder, "job") | IMAGE,
            boot_seconds=0.5,
        ) as batch:
            aws["AWS_ENDPOINT_URL_BATCH"] = batch.endpoint_url
            yield Account(aws)


def recorded(folder: Path, who: str) -> dict[str, str]:
    """What makes a process write down its calls of AWS."""
    calls = folder / "calls"
    calls.mkdir(exist_ok=True)
    return {"PYTHONPATH": str(RECORDER), "RECORD_CALLS": str(calls), "RECORD_AS": who}


def _drop_no_value(patch: pytest.MonkeyPatch) -> None:
    """Have moto leave AWS::NoValue out of lists, as AWS does."""
    clean = parsing.clean_json

    def cleaned(value: Any, resources: Any) -> Any:
        if isinstance(value, list):
            return [one for one in (cleaned(each, resources) for each in value) if one is not None]
        return clean(value, resources)

    patch.setattr(parsing, "clean_json", cleaned)


def _keep_what_a_change_set_says(patch: pytest.MonkeyPatch) -> None:
    """Have moto give a stack the parameters and outputs of a change set, not resources alone."""
    apply = ChangeSet.apply

    def applied(change_set: Any) -> None:
        apply(change_set)
        stack = change_set.stack
        stack.template_dict, stack.parameters = change_set.template_dict, change_set.parameters
        stack.output_map = stack._create_output_map()

    patch.setattr(ChangeSet, "apply", applied)


def launchable() -> str:
    """The template as moto can make it, as JSON."""
    found = template()
    found["Resources"] = {
        name: one for name, one in found["Resources"].items() if one["Type"] not in LEFT_OUT
    }
    # Nobody can be named who is not there.
    found["Resources"]["DaemonService"]["Properties"].pop("ServiceRegistries")
    found["Resources"].pop("BuildFailedRule")
    found["Outputs"] = {
        name: one for name, one in found["Outputs"].items() if not name.endswith("BuildName")
    }
    # moto tells of such a parameter only what it stands for, and has not this one.
    found["Parameters"]["NeuronAmiId"] = {"Type": "AWS::EC2::Image::Id", "Default": AMI}
    for one in found["Resources"].values():
        if one.get("DeletionPolicy") == "RetainExceptOnCreate":
            one["DeletionPolicy"] = "Retain"
    role = {"Fn::Sub": f"arn:aws:iam::${{AWS::AccountId}}:role/{SERVICE_ROLE}"}
    for one in found["Resources"].values():
        if one["Type"] == "AWS::Batch::ComputeEnvironment":
            one["Properties"]["ServiceRole"] = role
    return json.dumps(found)


def furnish(account: Account) -> None:
    """Make in the embedded Batch what the stack made in moto's, as it is described there."""
    moto = account.client("batch")
    for one in moto.describe_compute_environments()["computeEnvironments"]:
        resources = {
            key: int(value) if key.endswith("vCpus") else value
            for key, value in one["computeResources"].items()
        }
        account.batch.create_compute_environment(
            computeEnvironmentName=one["computeEnvironmentName"],
            type=one["type"],
            computeResources=resources,
        )
    names = {
        one["computeEnvironmentArn"]: one["computeEnvironmentName"]
        for one in moto.describe_compute_environments()["computeEnvironments"]
    }
    for one in moto.describe_job_queues()["jobQueues"]:
        account.batch.create_job_queue(
            jobQueueName=one["jobQueueName"],
            priority=int(one["priority"]),
            computeEnvironmentOrder=[
                {
                    "order": int(entry["order"]),
                    "computeEnvironment": names[entry["computeEnvironment"]],
                }
                for entry in one["computeEnvironmentOrder"]
            ],
        )
    for one in moto.describe_job_definitions()["jobDefinitions"]:
        account.batch.register_job_definition(
            jobDefinitionName=one["jobDefinitionName"],
            type=one["type"],
            containerProperties=one["containerProperties"] | {"command": COMMAND},
            retryStrategy=one["retryStrategy"],
        )


def parameters(account: Account, **more: str) -> list[dict[str, str]]:
    """Of a stack with a single instance of inf2.xlarge, in the account's first VPC."""
    ec2 = account.client("ec2")
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    groups = ec2.describe_security_groups(Filters=[{"Name": "vpc-id", "Values": [vpc]}])
    wanted = {
        "VpcId": vpc,
        "SubnetIds": ",".join(one["SubnetId"] for one in ec2.describe_subnets()["Subnets"]),
        "SecurityGroupIds": groups["SecurityGroups"][0]["GroupId"],
        "SourceRepository": "https://example.com/whisper-fleet.git",
        "Profile": "tiny.en",
        "Model": "tiny.en",
        "Inf2XLMaxVcpus": "4",
        **more,
    }
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in wanted.items()]


def outputs(account: Account) -> dict[str, str]:
    """Of the stack, which is made or changed."""
    [stack] = account.client("cloudformation").describe_stacks(StackName=NAME)["Stacks"]
    assert stack["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
