import json
from typing import Any

import pytest

from daemon.embedded.batch.errors import InvalidRequestError, UnknownRouteError
from daemon.embedded.batch.protocol import Protocol

ARN = "arn:aws:batch:us-east-1:000000000000:job-queue/q"
ENCODED_ARN = "arn%3Aaws%3Abatch%3Aus-east-1%3A000000000000%3Ajob-queue%2Fq"


@pytest.fixture(scope="module")
def protocol() -> Protocol:
    return Protocol()


def test_an_operation_is_found_by_its_method_and_path(protocol: Protocol) -> None:
    body = json.dumps({"jobs": ["a"]}).encode()
    assert protocol.read("POST", "/v1/describejobs", "", body) == ("DescribeJobs", {"jobs": ["a"]})


@pytest.mark.parametrize(
    ("method", "query", "body", "operation", "parameters"),
    [
        ("GET", "", b"", "ListTagsForResource", {}),
        ("POST", "", b'{"tags": {"a": "b"}}', "TagResource", {"tags": {"a": "b"}}),
        ("DELETE", "tagKeys=a&tagKeys=b%20c", b"", "UntagResource", {"tagKeys": ["a", "b c"]}),
    ],
)
def test_parameters_come_from_path_query_and_body(
    protocol: Protocol,
    method: str,
    query: str,
    body: bytes,
    operation: str,
    parameters: dict[str, Any],
) -> None:
    asked = protocol.read(method, f"/v1/tags/{ENCODED_ARN}", query, body)
    assert asked == (operation, {"resourceArn": ARN, **parameters})


@pytest.mark.parametrize(("method", "path"), [("GET", "/v1/submitjob"), ("POST", "/")])
def test_what_is_no_operation_of_batch_is_refused(
    protocol: Protocol, method: str, path: str
) -> None:
    with pytest.raises(UnknownRouteError, match="no operation of AWS Batch"):
        protocol.read(method, path, "", b"")


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"not json", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "jobQueue"),
        (b'{"jobName": 1, "jobQueue": "q", "jobDefinition": "d"}', "jobName"),
        (b'{"jobName": "j", "jobQueue": "q", "jobDefinition": "d", "colour": "red"}', "colour"),
    ],
)
def test_a_request_of_another_shape_is_refused(
    protocol: Protocol, body: bytes, complaint: str
) -> None:
    with pytest.raises(InvalidRequestError, match=complaint):
        protocol.read("POST", "/v1/submitjob", "", body)


def test_a_value_that_an_enumeration_lacks_is_refused(protocol: Protocol) -> None:
    body = json.dumps({"jobQueue": "q", "jobStatus": "DONE"}).encode()
    with pytest.raises(InvalidRequestError, match="'DONE'; possible are SUBMITTED"):
        protocol.read("POST", "/v1/listjobs", "", body)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        ({"jobs": [{"colour": "red"}]}, r"jobs\[0\].colour is unknown"),
        ({"jobs": [{"createdAt": 1.5}]}, "createdAt is 1.5, not a long"),
        ({"jobs": [{"isCancelled": 1}]}, "isCancelled is 1, not a boolean"),
        ({"jobs": [{"status": "DONE"}]}, "status is 'DONE'"),
        ({"jobs": [{"parameters": {"a": 1}}]}, "parameters.a is 1, not a string"),
    ],
)
def test_an_answer_that_a_client_could_not_read_is_never_given(
    protocol: Protocol, answer: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(TypeError, match=complaint):
        protocol.write("DescribeJobs", answer)


def test_a_job_that_has_not_started_may_be_shown_without_a_start(protocol: Protocol) -> None:
    assert (
        protocol.write("DescribeJobs", {"jobs": [{"jobId": "a"}]}) == b'{"jobs": [{"jobId": "a"}]}'
    )
