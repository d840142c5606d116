"""What a producer may name, and what a daemon does about the rest."""

from tests.running import Cloud, wait_until


def test_only_allowed_locations_are_read_and_written(cloud: Cloud) -> None:
    security = {
        "allowed_inputs": ["s3://recordings/incoming/*"],
        "allowed_outputs": ["s3://team-*/transcripts/*"],
    }
    wrong = [
        {"audio": "s3://recordings/incoming-2/a.wav"},
        {"audio": "s3://recordings/incoming/%2e%2e/a.wav", "output": "s3://team/transcripts/"},
        {"audio": "s3://recordings/incoming//a.wav"},
        {"audio": "s3://recordings/incoming/a.wav", "output": "s3://team-1/transcripts-2"},
    ]
    right = {
        "audio": "s3://recordings/incoming/a.wav",
        "request_id": "right",
        "output": "s3://team-1/transcripts",
    }
    with cloud.daemon(security=security) as restricted:
        for number, body in enumerate(wrong):
            cloud.send({**body, "request_id": f"wrong-{number}"})
        cloud.send(right)
        cloud.fate("right")
        records = [cloud.fate(f"wrong-{number}") for number in range(len(wrong))]
        told = {"reason": "location_not_allowed"}
        rejected = "whisper_fleet_messages_rejected_total"
        wait_until("all are counted", lambda: restricted.metric(rejected, **told) == len(wrong))
        wait_until("all messages are gone", lambda: cloud.depth() == (0, 0))

    assert all("is not below an allowed location" in record.rejection for record in records)
    reasons = {letter["request_id"]: letter["reason"] for letter in cloud.dead_letters()}
    assert reasons.pop("right") == "missing", "it was read, and is not there"
    assert set(reasons.values()) == {"location_not_allowed"}
