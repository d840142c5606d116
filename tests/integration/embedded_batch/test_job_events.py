import json
from collections.abc import Callable
from typing import Any

from daemon.embedded.batch.protocol import Protocol

FAIL_AS_SECOND = "import os, sys; sys.exit(int(os.environ['AWS_BATCH_JOB_ARRAY_INDEX']))"


async def test_every_change_of_an_array_and_its_children_is_an_event(
    open_lab: Callable[..., Any],
) -> None:
    events: list[dict[str, Any]] = []
    async with open_lab(notify=events.append) as lab:
        await lab.define_python(FAIL_AS_SECOND)
        job_id = await lab.submit(name="order-1", arrayProperties={"size": 2})
        described = await lab.finished(job_id)
        child = await lab.describe(f"{job_id}:1")

    def states(wanted: str) -> list[str]:
        return [e["detail"]["status"] for e in events if e["detail"]["jobId"] == wanted]

    assert states(job_id) == ["PENDING", "FAILED"]
    assert states(f"{job_id}:0") == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    assert states(f"{job_id}:1") == ["RUNNABLE", "STARTING", "RUNNING", "FAILED"]
    assert {event["detail"]["jobName"] for event in events} == {"order-1"}
    last = events[-1]
    assert last["detail"] == described
    [of_child] = [e for e in events if e["detail"] == child]
    assert of_child["detail"]["attempts"][0]["container"]["exitCode"] == 1


async def test_an_event_has_the_form_that_eventbridge_gives_it(
    open_lab: Callable[..., Any],
) -> None:
    events: list[dict[str, Any]] = []
    async with open_lab(notify=events.append) as lab:
        await lab.define("true")
        job_id = await lab.submit(name="order-1")
        await lab.finished(job_id)

    protocol = Protocol()
    for event in events:
        assert json.loads(json.dumps(event)) == event
        assert (event["source"], event["detail-type"]) == ("aws.batch", "Batch Job State Change")
        assert event["resources"] == [f"arn:aws:batch:us-east-1:000000000000:job/{job_id}"]
        assert event["time"].endswith("Z")
        protocol.write("DescribeJobs", {"jobs": [event["detail"]]})
    assert len({event["id"] for event in events}) == len(events)
