from typing import Any

import pytest

from daemon.embedded.batch.arns import Arns
from daemon.embedded.batch.definitions import Definitions, Shape, job_spec
from daemon.embedded.batch.errors import NotFoundError

CONTAINER = {
    "image": "worker",
    "command": ["transcribe", "--model", "Ref::model", "Ref::unknown"],
    "environment": [{"name": "LEVEL", "value": "info"}, {"name": "KEEP", "value": "1"}],
    "resourceRequirements": [
        {"type": "VCPU", "value": "2"},
        {"type": "MEMORY", "value": "6900"},
    ],
}
REGISTRATION = {
    "jobDefinitionName": "worker",
    "containerProperties": CONTAINER,
    "parameters": {"model": "tiny.en"},
    "timeout": {"attemptDurationSeconds": 600},
    "retryStrategy": {"attempts": 3},
}


@pytest.fixture
def definitions() -> Definitions:
    definitions = Definitions(Arns())
    for _ in range(2):
        definitions.register(REGISTRATION)
    return definitions


@pytest.mark.parametrize(
    ("reference", "revision"),
    [
        ("worker", 2),
        ("worker:1", 1),
        ("arn:aws:batch:us-east-1:000000000000:job-definition/worker", 2),
        ("arn:aws:batch:us-east-1:000000000000:job-definition/worker:1", 1),
    ],
)
def test_a_definition_is_found_by_name_or_arn_the_latest_by_default(
    definitions: Definitions, reference: str, revision: int
) -> None:
    assert definitions.resolve(reference).revision == revision


@pytest.mark.parametrize("reference", ["other", "worker:3", "worker:0", "", "a/b", "worker:x"])
def test_an_unknown_definition_is_refused_by_name(definitions: Definitions, reference: str) -> None:
    with pytest.raises(NotFoundError, match="Job definition"):
        definitions.resolve(reference)


def test_a_submission_without_overrides_runs_as_it_was_registered(definitions: Definitions) -> None:
    spec = job_spec(definitions.resolve("worker"), {"jobName": "job"}, "queue")
    assert spec.command == ("transcribe", "--model", "tiny.en", "Ref::unknown")
    assert spec.environment == {"LEVEL": "info", "KEEP": "1"}
    assert spec.shape == Shape(vcpus=2, memory_mib=6_900)
    assert (spec.timeout_seconds, spec.retry.attempts) == (600, 3)


def test_a_submission_overrides_what_it_names_and_nothing_else(definitions: Definitions) -> None:
    submission: dict[str, Any] = {
        "jobName": "job",
        "parameters": {"model": "large-v3"},
        "timeout": {"attemptDurationSeconds": 60},
        "retryStrategy": {"attempts": 1},
        "containerOverrides": {
            "environment": [{"name": "LEVEL", "value": "debug"}, {"name": "NEW", "value": "2"}],
            "resourceRequirements": [{"type": "VCPU", "value": "8"}],
        },
    }
    spec = job_spec(definitions.resolve("worker"), submission, "queue")
    assert spec.command[2] == "large-v3"
    assert spec.environment == {"LEVEL": "debug", "KEEP": "1", "NEW": "2"}
    assert spec.shape == Shape(vcpus=8, memory_mib=6_900)
    assert (spec.timeout_seconds, spec.retry.attempts) == (60, 1)
    assert definitions.resolve("worker").request == REGISTRATION


def test_an_overriding_command_gets_its_parameters_too(definitions: Definitions) -> None:
    submission = {"jobName": "job", "containerOverrides": {"command": ["echo", "Ref::model"]}}
    spec = job_spec(definitions.resolve("worker"), submission, "queue")
    assert spec.command == ("echo", "tiny.en")
