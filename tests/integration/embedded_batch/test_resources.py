from typing import Any

import pytest
from botocore.exceptions import ClientError


async def fleet(lab: Any) -> dict[str, Any]:
    answer = await lab.client.describe_compute_environments(computeEnvironments=["fleet"])
    [environment] = answer["computeEnvironments"]
    return dict(environment)


async def test_a_compute_environment_shows_its_bounds_and_what_runs(lab: Any) -> None:
    environment = await fleet(lab)
    assert (environment["state"], environment["status"]) == ("ENABLED", "VALID")
    resources = environment["computeResources"]
    assert (resources["minvCpus"], resources["desiredvCpus"], resources["maxvCpus"]) == (0, 0, 8)
    assert resources["instanceTypes"] == ["inf2.xlarge"]
    assert resources["subnets"] == ["subnet-1"]


async def test_desired_vcpus_go_up_within_the_bounds_and_never_down(lab: Any) -> None:
    async def update(**resources: int) -> None:
        await lab.client.update_compute_environment(
            computeEnvironment="fleet", computeResources=resources
        )

    await update(desiredvCpus=4)
    assert (await fleet(lab))["computeResources"]["desiredvCpus"] == 4
    with pytest.raises(ClientError, match="Manually scaling down"):
        await update(desiredvCpus=0)
    with pytest.raises(ClientError, match="do not ascend"):
        await update(desiredvCpus=12)
    await update(desiredvCpus=12, maxvCpus=12)
    assert (await fleet(lab))["computeResources"]["desiredvCpus"] == 12
    with pytest.raises(ClientError, match="do not ascend"):
        await update(minvCpus=16)


async def test_a_raised_floor_boots_instances_at_once(lab: Any) -> None:
    arn = (await fleet(lab))["computeEnvironmentArn"]
    await lab.client.update_compute_environment(
        computeEnvironment=arn, computeResources={"minvCpus": 8}, state="DISABLED"
    )
    environment = await fleet(lab)
    assert environment["state"] == "DISABLED"
    assert environment["computeResources"]["desiredvCpus"] == 8


async def test_a_queue_lists_its_environments_in_order(lab: Any) -> None:
    await lab.client.create_compute_environment(
        computeEnvironmentName="second",
        type="MANAGED",
        computeResources={"type": "EC2", "maxvCpus": 96, "instanceTypes": ["inf2.24xlarge"]},
    )
    order = [
        {"order": 5, "computeEnvironment": "second"},
        {"order": 2, "computeEnvironment": "fleet"},
    ]
    await lab.client.create_job_queue(
        jobQueueName="both", priority=3, computeEnvironmentOrder=order, tags={"a": "b"}
    )
    answer = await lab.client.describe_job_queues(jobQueues=["both"])
    [queue] = answer["jobQueues"]
    assert [
        entry["computeEnvironment"].rpartition("/")[2] for entry in queue["computeEnvironmentOrder"]
    ] == ["fleet", "second"]
    assert (queue["priority"], queue["state"], queue["tags"]) == (3, "ENABLED", {"a": "b"})


async def test_descriptions_come_in_pages(lab: Any) -> None:
    for number in range(3):
        await lab.define("true", name=f"worker-{number}")
    paginator = lab.client.get_paginator("describe_job_definitions")
    pages = [
        [definition["jobDefinitionName"] for definition in page["jobDefinitions"]]
        async for page in paginator.paginate(PaginationConfig={"PageSize": 2})
    ]
    assert pages == [["worker-0", "worker-1"], ["worker-2"]]


async def test_every_registration_is_a_new_revision(lab: Any) -> None:
    await lab.define("true", container={"environment": [{"name": "A", "value": "1"}]})
    await lab.define("false")
    answer = await lab.client.describe_job_definitions(jobDefinitionName="worker", status="ACTIVE")
    by_revision = {one["revision"]: one for one in answer["jobDefinitions"]}
    assert by_revision.keys() == {1, 2}
    container = by_revision[1]["containerProperties"]
    assert container["environment"] == [{"name": "A", "value": "1"}]
    assert (await lab.finished(await lab.submit("worker:1")))["status"] == "SUCCEEDED"
    assert (await lab.finished(await lab.submit("worker")))["status"] == "FAILED"


async def test_tags_are_added_changed_and_removed(lab: Any) -> None:
    definition = await lab.define("true", tags={"team": "speech"})
    job = await lab.describe(await lab.submit())
    environment = (await fleet(lab))["computeEnvironmentArn"]
    for arn in (definition, job["jobArn"], environment, job["jobQueue"]):
        await lab.client.tag_resource(resourceArn=arn, tags={"team": "audio", "cost/center": "7"})
        answer = await lab.client.list_tags_for_resource(resourceArn=arn)
        assert answer["tags"] == {"team": "audio", "cost/center": "7"}
        await lab.client.untag_resource(resourceArn=arn, tagKeys=["cost/center", "unknown"])
        answer = await lab.client.list_tags_for_resource(resourceArn=arn)
        assert answer["tags"] == {"team": "audio"}


async def test_an_environment_that_was_made_invalid_says_so(lab: Any) -> None:
    async def status() -> tuple[str, str]:
        answer = await lab.client.describe_compute_environments(computeEnvironments=["fleet"])
        [environment] = answer["computeEnvironments"]
        return environment["status"], environment["statusReason"]

    lab.batch.set_invalid("fleet", "CLIENT_ERROR - Not authorized to perform sts:AssumeRole")
    assert await status() == (
        "INVALID",
        "CLIENT_ERROR - Not authorized to perform sts:AssumeRole",
    )
    lab.batch.set_invalid("fleet", None)
    assert await status() == ("VALID", "ComputeEnvironment Healthy")
