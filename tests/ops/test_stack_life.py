"""A stack from its beginning to its end, on moto's CloudFormation."""

import json
from pathlib import Path

import pytest

from tests.ops.account import NAME, empty_account, launchable, outputs, parameters

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")


def test_without_images_there_is_neither_a_job_definition_nor_a_daemon(tmp_path: Path) -> None:
    with empty_account(tmp_path) as made:
        cloudformation = made.client("cloudformation")
        cloudformation.create_stack(
            StackName=NAME,
            TemplateBody=launchable(),
            Parameters=parameters(made),
            Capabilities=["CAPABILITY_IAM"],
        )
        assert "MetricsAddress" not in outputs(made)
        assert not made.client("ecs").list_task_definitions()["taskDefinitionArns"]
        moto = made.client("batch")
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
        told = outputs(made)
        assert len(json.loads(told["Lanes"])) == 2
        cloudformation.delete_stack(StackName=NAME)
        assert not made.client("sqs").list_queues().get("QueueUrls")
        kept = {one["Name"] for one in made.client("s3").list_buckets()["Buckets"]}
        assert {told["RecordingsBucketName"], told["LedgerBucketName"]} <= kept


def test_a_new_image_makes_a_new_task_in_the_same_service(tmp_path: Path) -> None:
    with empty_account(tmp_path) as made:
        cloudformation, ecs = made.client("cloudformation"), made.client("ecs")
        cloudformation.create_stack(
            StackName=NAME,
            TemplateBody=launchable(),
            Parameters=parameters(made, ImageTag="first"),
            Capabilities=["CAPABILITY_IAM"],
        )
        told = outputs(made)
        # moto compares templates, not what parameters make of them.
        changed = json.loads(launchable().replace("${ImageTag}", "second"))
        changed["Resources"]["EventsQueue"]["Properties"]["VisibilityTimeout"] = 45
        cloudformation.update_stack(
            StackName=NAME,
            TemplateBody=json.dumps(changed),
            Parameters=parameters(made, ImageTag="second"),
            Capabilities=["CAPABILITY_IAM"],
        )
        assert outputs(made) == told
        task = ecs.describe_task_definition(taskDefinition=f"{NAME}-daemon")
        assert task["taskDefinition"]["revision"] == 2
        # What is in the new one, moto loses.
        events = made.client("sqs").get_queue_attributes(
            QueueUrl=told["EventsQueueUrl"], AttributeNames=["VisibilityTimeout"]
        )
        assert events["Attributes"]["VisibilityTimeout"] == "45"
        [service] = ecs.describe_services(cluster=NAME, services=["daemon"])["services"]
        assert service["desiredCount"] == 1
