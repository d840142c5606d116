from typing import Any

import pytest

from daemon.embedded.batch.errors import InvalidRequestError, UnsupportedParameterError
from daemon.embedded.batch.rules import check

CONTAINER = {
    "image": "worker",
    "resourceRequirements": [{"type": "VCPU", "value": "2"}, {"type": "MEMORY", "value": "6900"}],
}
DEFINITION = {"jobDefinitionName": "d", "type": "container", "containerProperties": CONTAINER}
SUBMISSION = {"jobName": "job", "jobQueue": "queue", "jobDefinition": "d"}
RULE = {"action": "EXIT"}


def overrides(**container: Any) -> dict[str, Any]:
    return SUBMISSION | {"containerOverrides": container}


def retry(**strategy: Any) -> dict[str, Any]:
    return SUBMISSION | {"retryStrategy": strategy}


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("SubmitJob", SUBMISSION),
        ("SubmitJob", SUBMISSION | {"jobName": "9" + "a-_" * 42}),
        ("SubmitJob", SUBMISSION | {"arrayProperties": {"size": 2}}),
        ("SubmitJob", SUBMISSION | {"arrayProperties": {"size": 10_000}}),
        ("SubmitJob", SUBMISSION | {"dependsOn": []}),
        ("SubmitJob", retry(attempts=10, evaluateOnExit=[RULE | {"onReason": "a b.c:d*"}] * 5)),
        ("SubmitJob", retry(attempts=1, evaluateOnExit=[{"action": "retry", "onExitCode": "1*"}])),
        ("RegisterJobDefinition", DEFINITION),
        ("CancelJob", {"jobId": "a", "reason": "r" * 1_024}),
        ("DescribeJobs", {"jobs": ["a"] * 100}),
        ("ListJobs", {"jobQueue": "queue", "maxResults": 5_000}),
    ],
)
def test_what_batch_allows_passes(operation: str, parameters: dict[str, Any]) -> None:
    check(operation, parameters, 1_000)


@pytest.mark.parametrize(
    ("operation", "parameters", "complaint"),
    [
        ("SubmitJob", SUBMISSION | {"jobName": "-job"}, "jobName '-job'"),
        ("SubmitJob", SUBMISSION | {"jobName": "a" * 129}, "at most 128"),
        ("SubmitJob", SUBMISSION | {"jobName": "a.b"}, "letters, digits"),
        ("SubmitJob", SUBMISSION | {"arrayProperties": {"size": 1}}, "size is 1; an array has 2"),
        ("SubmitJob", SUBMISSION | {"arrayProperties": {"size": 10_001}}, "10000 children"),
        ("SubmitJob", SUBMISSION | {"timeout": {"attemptDurationSeconds": 59}}, "at least 60"),
        ("SubmitJob", retry(attempts=0), "between 1 and 10"),
        ("SubmitJob", retry(attempts=11), "between 1 and 10"),
        ("SubmitJob", retry(attempts=2, evaluateOnExit=[RULE] * 6), "more than 5 rules"),
        ("SubmitJob", retry(evaluateOnExit=[RULE]), "needs retryStrategy.attempts"),
        (
            "SubmitJob",
            retry(attempts=2, evaluateOnExit=[RULE | {"onStatusReason": "Host EC2 (*"}]),
            "onStatusReason 'Host EC2",
        ),
        (
            "SubmitJob",
            retry(attempts=2, evaluateOnExit=[RULE | {"onExitCode": "1*7"}]),
            "onExitCode '1",
        ),
        ("SubmitJob", retry(attempts=2, evaluateOnExit=[{"action": "STOP"}]), "RETRY and EXIT"),
        (
            "SubmitJob",
            overrides(environment=[{"name": "AWS_BATCH_X", "value": "1"}]),
            "AWS_BATCH_X",
        ),
        (
            "SubmitJob",
            overrides(resourceRequirements=[{"type": "VCPU", "value": "0"}]),
            "VCPU is '0'",
        ),
        ("SubmitJob", overrides(resourceRequirements=[{"type": "GPU", "value": "1"}]), "GPU"),
        ("SubmitJob", overrides(vcpus=4), "use resourceRequirements"),
        ("SubmitJob", overrides(command=[""]), "empty string"),
        ("RegisterJobDefinition", DEFINITION | {"jobDefinitionName": "a.b"}, "jobDefinitionName"),
        ("RegisterJobDefinition", DEFINITION | {"type": "multinode"}, "container"),
        (
            "RegisterJobDefinition",
            DEFINITION | {"containerProperties": CONTAINER | {"vcpus": 2}},
            "give VCPU once",
        ),
        (
            "RegisterJobDefinition",
            DEFINITION | {"containerProperties": {"image": "worker", "vcpus": 2}},
            "give MEMORY once",
        ),
        (
            "RegisterJobDefinition",
            DEFINITION | {"containerProperties": CONTAINER | {"image": ""}},
            "image is missing",
        ),
        ("CancelJob", {"jobId": "", "reason": "r"}, "jobId is empty"),
        ("TerminateJob", {"jobId": "a", "reason": "r" * 1_025}, "longer than 1024"),
        ("DescribeJobs", {"jobs": ["a"] * 101}, "at most 100"),
        ("ListJobs", {}, "either jobQueue or arrayJobId"),
        ("ListJobs", {"jobQueue": "q", "arrayJobId": "a"}, "either jobQueue or arrayJobId"),
        ("ListJobs", {"jobQueue": "q", "maxResults": 0}, "at least 1"),
        ("ListJobs", {"jobQueue": "q", "filters": [{"name": "A"}]}, "no filter 'A'"),
        (
            "ListJobs",
            {"jobQueue": "q", "filters": [{"name": "AFTER_CREATED_AT", "values": ["today"]}]},
            "milliseconds",
        ),
        (
            "CreateJobQueue",
            {"jobQueueName": "q", "priority": 1, "computeEnvironmentOrder": [{"order": 1}] * 4},
            "1 to 3",
        ),
        (
            "CreateComputeEnvironment",
            {"computeEnvironmentName": "e", "type": "UNMANAGED"},
            "MANAGED",
        ),
        (
            "CreateComputeEnvironment",
            {
                "computeEnvironmentName": "e",
                "type": "MANAGED",
                "computeResources": {"type": "FARGATE", "maxvCpus": 4},
            },
            "EC2 or SPOT",
        ),
    ],
)
def test_what_batch_refuses_is_refused_with_a_complaint(
    operation: str, parameters: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        check(operation, parameters, 1_000)
    assert str(refusal.value).startswith(f"{operation}: ")
    assert complaint in str(refusal.value)


@pytest.mark.parametrize(
    ("operation", "parameters", "most_bytes"),
    [("SubmitJob", SUBMISSION, 30 * 1_024), ("RegisterJobDefinition", DEFINITION, 24 * 1_024)],
)
def test_a_request_may_only_be_so_large(
    operation: str, parameters: dict[str, Any], most_bytes: int
) -> None:
    check(operation, parameters, most_bytes)
    with pytest.raises(InvalidRequestError, match=f"at most {most_bytes}"):
        check(operation, parameters, most_bytes + 1)


@pytest.mark.parametrize(
    "parameter", ["dependsOn", "shareIdentifier", "nodeOverrides", "ecsPropertiesOverride"]
)
def test_what_is_not_emulated_is_refused_and_not_ignored(parameter: str) -> None:
    with pytest.raises(UnsupportedParameterError, match=f"does not emulate {parameter}"):
        check("SubmitJob", SUBMISSION | {parameter: "something"}, 1_000)
