"""The template, before anybody launches it."""

import email
import importlib.util
import json
import re
import subprocess
import sys
from email.message import Message
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from daemon.catalogue import CATALOGUE
from daemon.settings import RetrySettings
from tests.ops.template import ROOT, TEMPLATE, resources, template

CFN_LINT = Path(sys.executable).parent / "cfn-lint"
CHECKOV = ROOT / ".ops-venv" / "bin" / "checkov"
CHECKOV_OPTIONS = (
    *("--framework", "cloudformation", "--output", "json"),
    *("--quiet", "--compact", "--skip-download"),
)


def _render() -> ModuleType:
    spec = importlib.util.spec_from_file_location("render", ROOT / "cloudformation" / "render.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["render"] = module
    spec.loader.exec_module(module)
    return module


def test_the_template_is_what_its_parts_make() -> None:
    assert TEMPLATE.read_text() == _render().render(), "run `make stack`"


def test_cfn_lint_has_no_complaint() -> None:
    done = subprocess.run(
        [CFN_LINT, "--include-checks", "I", "--format", "parseable", TEMPLATE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.stdout.strip(), done.stdout
    assert done.returncode == 0, done.stderr


def test_checkov_finds_nothing_that_is_not_explained() -> None:
    done = subprocess.run(
        [CHECKOV, "--file", TEMPLATE, *CHECKOV_OPTIONS],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(done.stdout)
    failed = [
        f"{one['check_id']} {one['resource']}: {one['check_name']}"
        for one in found["results"]["failed_checks"]
    ]
    assert not failed, "\n".join(failed)
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["resource_count"] > 60


def test_what_checkov_is_to_skip_has_a_reason() -> None:
    for name, resource in template()["Resources"].items():
        for skip in resource.get("Metadata", {}).get("checkov", {}).get("skip", ()):
            assert len(skip["comment"]) > 30, f"{name}: {skip}"


@pytest.mark.parametrize("size", CATALOGUE.values(), ids=list(CATALOGUE))
@pytest.mark.parametrize("market", ["", "Spot"])
def test_a_job_asks_for_one_core_s_share_of_its_lane_s_only_instance_size(
    size: Any, market: str
) -> None:
    lane = f"{size.template_id}{market}"
    environment = resources("AWS::Batch::ComputeEnvironment")[f"{lane}Environment"]
    assert environment["ComputeResources"]["InstanceTypes"] == [size.name]
    assert environment["ComputeResources"]["Type"] == ("SPOT" if market else "EC2")
    container = resources("AWS::Batch::JobDefinition")[f"{lane}Job"]["ContainerProperties"]
    asked = {one["Type"]: int(one["Value"]) for one in container["ResourceRequirements"]}
    assert asked == {"VCPU": size.slot_vcpus, "MEMORY": size.slot_memory_mib}
    devices = [one["HostPath"] for one in container["LinuxParameters"]["Devices"]]
    assert devices == [f"/dev/neuron{number}" for number in range(size.chips)]
    # A process that is the first of its container would not hear SIGTERM while it starts.
    assert container["LinuxParameters"]["InitProcessEnabled"]
    set_to = {one["Name"]: one["Value"] for one in container["Environment"]}
    assert set_to == {"NEURON_RT_NUM_CORES": "1", "AWS_DEFAULT_REGION": {"Ref": "AWS::Region"}}


def test_the_redrive_policy_cannot_beat_the_daemon_s_own_attempts() -> None:
    queue = resources("AWS::SQS::Queue")["RequestsQueue"]
    settings = RetrySettings()
    attempts = settings.attempts_max + settings.infrastructure_attempts_max
    assert queue["RedrivePolicy"]["maxReceiveCount"] > 10 * attempts


def test_only_spot_reclaim_is_repeated_by_batch() -> None:
    for name, job in resources("AWS::Batch::JobDefinition").items():
        rules = job["RetryStrategy"]["EvaluateOnExit"]
        assert rules == [
            {"Action": "RETRY", "OnStatusReason": "Host EC2*"},
            {"Action": "EXIT", "OnReason": "*"},
        ], name


def test_every_bucket_and_queue_refuses_calls_without_tls() -> None:
    for kind, policy, key in (
        ("AWS::S3::Bucket", "AWS::S3::BucketPolicy", "Bucket"),
        ("AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues"),
    ):
        guarded = []
        for found in resources(policy).values():
            denied = [
                one for one in found["PolicyDocument"]["Statement"] if one.get("Effect") == "Deny"
            ]
            assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
            named = found[key] if isinstance(found[key], list) else [found[key]]
            guarded += [one["Ref"] for one in named]
        assert sorted(guarded) == sorted(resources(kind))


def test_no_statement_allows_a_wildcard_resource_but_where_actions_know_none() -> None:
    """Which those are: docs.aws.amazon.com/service-authorization/latest/reference."""
    without_resource = {
        "batch:DescribeComputeEnvironments",
        "batch:DescribeJobDefinitions",
        "batch:DescribeJobQueues",
        "batch:DescribeJobs",
        "batch:ListJobs",
        "ecr:GetAuthorizationToken",
        "ecs:DiscoverPollEndpoint",
    }
    documents = [
        policy["PolicyDocument"]
        for role in resources("AWS::IAM::Role").values()
        for policy in role.get("Policies", ())
    ]
    documents += [one["PolicyDocument"] for one in resources("AWS::IAM::ManagedPolicy").values()]
    for document in documents:
        for statement in document["Statement"]:
            if statement.get("Resource") == "*":
                assert set(statement["Action"]) <= without_resource, statement


def test_a_person_is_asked_for_every_parameter_in_a_group() -> None:
    found = template()
    groups = found["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    grouped = [name for group in groups for name in group["Parameters"]]
    assert sorted(grouped) == sorted(found["Parameters"])


def test_a_new_image_comes_without_a_moment_without_a_daemon() -> None:
    service = resources("AWS::ECS::Service")["DaemonService"]
    rolling = service["DeploymentConfiguration"]
    assert rolling["MinimumHealthyPercent"] == 100
    assert rolling["MaximumPercent"] == 200
    assert rolling["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    jobs = resources("AWS::Batch::JobDefinition").values()
    assert all(one["ResourceRetentionPolicy"]["SkipDeregisterOnUpdate"] for one in jobs)


def test_the_template_is_small_enough_for_s3() -> None:
    """docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html"""
    assert TEMPLATE.stat().st_size < 1_000_000
    assert len(template()["Resources"]) <= 500
    assert Path(TEMPLATE).read_text().isascii()


def test_an_instance_s_user_data_is_a_script_that_a_shell_can_read() -> None:
    """Batch takes user data as a MIME archive alone (userguide/launch-templates.html)."""
    data = resources("AWS::EC2::LaunchTemplate")["LaunchTemplate"]["LaunchTemplateData"]
    message = email.message_from_string(data["UserData"]["Fn::Base64"])
    script = message.get_payload(0)
    assert isinstance(script, Message)
    assert script.get_content_type() == "text/x-shellscript"
    text = str(script.get_payload())
    assert "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config" in text
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)


@pytest.mark.parametrize("kind", ["Daemon", "Worker"])
def test_a_build_is_what_a_shell_and_codebuild_can_read(kind: str) -> None:
    spec = yaml.safe_load(
        resources("AWS::CodeBuild::Project")[f"{kind}Build"]["Source"]["BuildSpec"]
    )
    assert spec["version"] == 0.2
    commands = [line for phase in spec["phases"].values() for line in phase["commands"]]
    subprocess.run(["bash", "-n"], input="\n".join(commands), text=True, check=True)
    dockerfile = ROOT / ("neuron_worker" if kind == "Worker" else "daemon") / "Dockerfile"
    declared = set(re.findall(r"^ARG (\w+)", dockerfile.read_text(), re.MULTILINE))
    assert set(re.findall(r'--build-arg "(\w+)=', "\n".join(commands))) <= declared
