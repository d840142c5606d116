import asyncio
from typing import Any

WAIT = "import signal; print('waiting', flush=True); signal.pause()"


async def names(lab: Any, **query: Any) -> list[str]:
    answer = await lab.client.list_jobs(**query)
    return [job["jobName"] for job in answer["jobSummaryList"]]


async def test_only_running_jobs_are_listed_unless_asked_otherwise(lab: Any) -> None:
    await lab.define_python(WAIT)
    running = await lab.submit(name="running")
    array = await lab.submit(name="array", arrayProperties={"size": 2})
    await lab.until(running, "RUNNING")
    await lab.until(f"{array}:1", "RUNNING")
    waiting = await lab.submit(name="last-core")
    await lab.until(waiting, "RUNNING")
    await lab.submit(name="waiting")

    assert await names(lab, jobQueue="queue") == ["last-core", "running"]
    assert await names(lab, jobQueue="queue", jobStatus="PENDING") == ["array"]
    assert await names(lab, jobQueue="queue", jobStatus="RUNNABLE") == ["waiting"]
    assert await names(lab, jobQueue="queue", jobStatus="SUCCEEDED") == []


async def test_children_are_listed_under_their_array_by_status(lab: Any) -> None:
    await lab.define("true")
    array_id = await lab.submit(arrayProperties={"size": 3})
    await lab.finished(array_id)
    assert await names(lab, arrayJobId=array_id) == []
    answer = await lab.client.list_jobs(arrayJobId=array_id, jobStatus="SUCCEEDED")
    jobs = answer["jobSummaryList"]
    assert [job["jobId"] for job in jobs] == [f"{array_id}:{index}" for index in range(3)]
    assert [job["arrayProperties"]["index"] for job in jobs] == [0, 1, 2]
    assert jobs[0]["container"] == {"exitCode": 0}


async def test_a_paginator_sees_every_child_once(lab: Any) -> None:
    await lab.define("true")
    array_id = await lab.submit(arrayProperties={"size": 7}, name="array")
    await lab.client.terminate_job(jobId=array_id, reason="not needed")
    await lab.finished(array_id)
    paginator = lab.client.get_paginator("list_jobs")
    pages = [
        page["jobSummaryList"]
        async for page in paginator.paginate(
            arrayJobId=array_id, jobStatus="FAILED", PaginationConfig={"PageSize": 3}
        )
    ]
    assert [len(page) for page in pages] == [3, 3, 1]
    ids = [job["jobId"] for page in pages for job in page]
    assert ids == [f"{array_id}:{index}" for index in range(7)]


async def test_a_page_has_at_most_a_thousand_jobs_and_a_hundred_with_a_filter(lab: Any) -> None:
    await lab.define("true")
    array_id = await lab.submit(arrayProperties={"size": 1_001})
    await lab.client.terminate_job(jobId=array_id, reason="not needed")
    query = {"arrayJobId": array_id, "jobStatus": "FAILED", "maxResults": 5_000}
    answer = await lab.client.list_jobs(**query)
    assert len(answer["jobSummaryList"]) == 1_000
    answer = await lab.client.list_jobs(**query, nextToken=answer["nextToken"])
    assert len(answer["jobSummaryList"]) == 1
    assert "nextToken" not in answer

    await asyncio.gather(*(lab.submit(name=f"job-{number}") for number in range(101)))
    by_name = {"name": "JOB_NAME", "values": ["job-*"]}
    answer = await lab.client.list_jobs(jobQueue="queue", filters=[by_name], maxResults=1_000)
    assert len(answer["jobSummaryList"]) == 100
    assert "nextToken" in answer


async def test_a_filter_finds_jobs_of_any_status_but_no_children(lab: Any) -> None:
    arn = await lab.define("true")
    await lab.define("true", name="other")
    done = await lab.submit(name="Order-1")
    await lab.finished(done)
    await lab.submit(name="order-2", arrayProperties={"size": 2})
    await lab.submit(name="something", definition="other")

    async def filtered(name: str, *values: str) -> list[str]:
        return await names(lab, jobQueue="queue", filters=[{"name": name, "values": list(values)}])

    assert await filtered("JOB_NAME", "order-1") == ["Order-1"]
    assert await filtered("JOB_NAME", "ORDER-*") == ["order-2", "Order-1"]
    assert await filtered("JOB_NAME", "order") == []
    assert await filtered("JOB_DEFINITION", "other") == ["something"]
    assert await filtered("JOB_DEFINITION", arn) == ["order-2", "Order-1"]
    assert await filtered("JOB_DEFINITION", arn.replace(":1", ":2")) == []


async def test_jobs_are_found_by_the_time_of_their_creation(lab: Any) -> None:
    await lab.define("true")
    first = await lab.describe(await lab.submit(name="first"))
    while True:
        later = await lab.describe(await lab.submit(name="later"))
        if later["createdAt"] > first["createdAt"]:
            break
    moment = str(later["createdAt"])
    before = {"name": "BEFORE_CREATED_AT", "values": [moment]}
    after = {"name": "AFTER_CREATED_AT", "values": [str(first["createdAt"])]}
    assert "first" in await names(lab, jobQueue="queue", filters=[before])
    assert "first" not in await names(lab, jobQueue="queue", filters=[after])
    assert "later" in await names(lab, jobQueue="queue", filters=[after])


async def test_unknown_ids_are_left_out_of_a_description(lab: Any) -> None:
    await lab.define("true")
    array_id = await lab.submit(arrayProperties={"size": 2})
    asked = [f"{array_id}:2", "unknown", f"{array_id}:1", array_id, f"{array_id}:x", ":0"]
    answer = await lab.client.describe_jobs(jobs=asked)
    assert [job["jobId"] for job in answer["jobs"]] == [f"{array_id}:1", array_id]
