import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from daemon.locations import AllowedLocations, LocationPattern, overlap
from neuron_worker.contract import S3Uri, TranscriptFormat, WorkItem

LEDGER = S3Uri.parse("s3://ledger/fleet/")
OUTPUT = S3Uri.parse("s3://transcripts/fleet")


def allowed(*, inputs: tuple[str, ...] = (), outputs: tuple[str, ...] = ()) -> AllowedLocations:
    return AllowedLocations(
        LEDGER,
        OUTPUT,
        tuple(map(LocationPattern.parse, inputs)),
        tuple(map(LocationPattern.parse, outputs)),
    )


def may_read(pattern: str, audio: S3Uri) -> bool:
    return allowed(inputs=(pattern,)).refuse(audio, OUTPUT) is None


def may_write(pattern: str, output: str) -> bool:
    audio = S3Uri.parse("s3://recordings/a.wav")
    return allowed(outputs=(pattern,)).refuse(audio, S3Uri.parse(output)) is None


@pytest.mark.parametrize(
    ("pattern", "audio"),
    [
        ("s3://calls/*", "s3://calls/a.wav"),
        ("s3://calls/*", "s3://calls/2026/11/a.wav"),
        ("s3://calls/in/*", "s3://calls/in/a.wav"),
        ("s3://calls/in/new/*", "s3://calls/in/new/a b+ü%2F.wav"),
        ("s3://customer-*/in/*", "s3://customer-7/in/a.wav"),
        ("s3://customer-*-calls/*", "s3://customer-7.eu-calls/a.wav"),
        ("s3://*/in/*", "s3://anyones/in/a.wav"),
    ],
)
def test_what_is_below_the_folder_matches(pattern: str, audio: str) -> None:
    assert may_read(pattern, S3Uri.parse(audio))


@pytest.mark.parametrize(
    ("pattern", "audio"),
    [
        ("s3://calls/in/*", "s3://calls/in-2/a.wav"),
        ("s3://calls/in/*", "s3://calls/in"),
        ("s3://calls/in/*", "s3://calls/out/in/a.wav"),
        ("s3://calls/in/*", "s3://calls//in/a.wav"),
        ("s3://calls/in/*", "s3://calls/in//a.wav"),
        ("s3://calls/in/*", "s3://calls/in/./a.wav"),
        ("s3://calls/in/*", "s3://calls/IN/a.wav"),
        ("s3://calls/in/*", "s3://calls/%69n/a.wav"),
        ("s3://calls/in/*", "s3://calls/in%2Fa.wav"),
        ("s3://calls/in/*", "s3://calls/in/a\x7f.wav"),
        ("s3://calls/in/*", "s3://calls/in/a\x85.wav"),
        ("s3://calls/*", "s3://calls-2/a.wav"),
        ("s3://calls/*", "s3://my-calls/a.wav"),
        ("s3://cal.s/*", "s3://calls/a.wav"),
        ("s3://customer-*/in/*", "s3://customers/in/a.wav"),
        ("s3://customer-*/in/*", "s3://customer-7/x/in/a.wav"),
    ],
)
def test_what_only_looks_like_it_does_not_match(pattern: str, audio: str) -> None:
    assert not may_read(pattern, S3Uri.parse(audio))


def test_what_climbs_or_names_no_object_matches_nothing_even_if_it_was_never_parsed() -> None:
    assert not may_read("s3://calls/in/*", S3Uri("calls", "in/../secret/a.wav"))
    assert not may_read("s3://calls/in/*", S3Uri("calls", "in/"))
    assert not may_read("s3://calls/*", S3Uri("calls", ""))
    assert not may_read("s3://customer-*/in/*", S3Uri("customer-7/x", "in/a.wav"))


@pytest.mark.parametrize(
    "text",
    [
        "s3://calls",
        "s3://calls/",
        "s3://calls/in",
        "s3://calls/in/",
        "s3://calls/in*",
        "s3://calls/*/in/*",
        "s3://calls/in/**",
        "s3://calls//*",
        "s3://calls/in//*",
        "s3://calls/../*",
        "s3://calls/./*",
        "s3://calls/in\n/*",
        "s3://Calls/*",
        "s3:///*",
        "https://calls/*",
        "calls/*",
        "*",
        "",
    ],
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        LocationPattern.parse(text)


SEGMENTS = st.sampled_from(
    [
        "in",
        "in-2",
        "out",
        "",
        ".",
        "..",
        "%2e%2e",
        "%2f",
        "..%2f",
        "a.wav",
        "*",
        "\x00",
        "\\..",
        "é",
    ]
) | st.text(max_size=4)
KEYS = st.lists(SEGMENTS, max_size=6).map("/".join)


@given(KEYS)
@example("in/..%2f..%2fsecret")
@example("in/%2e%2e/secret")
def test_no_key_outside_the_folder_matches_however_it_is_written(key: str) -> None:
    if may_read("s3://calls/in/*", S3Uri("calls", key)):
        assert key.startswith("in/")
        assert posixpath.normpath(key) == key, "something on the way could tidy it"
        assert key != "in/"


@given(KEYS)
def test_no_output_leads_out_of_where_transcripts_may_go(key: str) -> None:
    output = S3Uri("transcripts", key)
    if allowed().refuse(S3Uri("recordings", "a.wav"), output) is None:
        assert output.join("x").key.startswith("fleet/")
        assert posixpath.normpath(output.join("x").key) == output.join("x").key


@given(
    audio_key=KEYS.filter(lambda key: key and not key.endswith("/")),
    request_id=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,127}\Z"),
    file_format=st.sampled_from(TranscriptFormat),
)
def test_no_audio_key_and_no_request_id_climbs_out_of_the_output(
    audio_key: str, request_id: str, file_format: TranscriptFormat
) -> None:
    audio = f"s3://recordings/{audio_key}"
    try:
        item = WorkItem(request_id=request_id, audio=audio, output=str(OUTPUT))
    except ValueError:
        return
    place = item.transcript(file_format)

    assert place.bucket == OUTPUT.bucket
    assert place.key.startswith("fleet/")
    assert posixpath.normpath(place.key).startswith("fleet/")
    assert place.key.endswith(f"/{request_id}.{file_format}")


@pytest.mark.parametrize("request_id", ["..", ".", "a/b", "a\\b", "%2e%2e/x", "a\n", "", "-", "é"])
def test_what_could_climb_is_no_request_id(request_id: str) -> None:
    with pytest.raises(ValueError):
        WorkItem(request_id=request_id, audio="s3://recordings/a", output=str(OUTPUT))


def test_outputs_are_kept_to_the_configured_one_unless_more_are_allowed() -> None:
    assert may_write("s3://other/*", "s3://transcripts/fleet/team-1")
    assert may_write("s3://other/*", "s3://transcripts/fleet/")
    assert may_write("s3://other/*", "s3://other/")
    assert may_write("s3://other/team/*", "s3://other/team")
    assert not may_write("s3://other/team/*", "s3://other/team-2")
    assert not may_write("s3://other/team/*", "s3://other/")
    assert not may_write("s3://other/*", "s3://transcripts/fleet-2/")
    assert not may_write("s3://other/*", "s3://transcripts/")


def test_nothing_is_read_or_written_in_the_ledger_whatever_is_allowed() -> None:
    everything = allowed(inputs=("s3://*/*",), outputs=("s3://*/*",))
    recording = S3Uri.parse("s3://recordings/a.wav")

    inside = everything.refuse(S3Uri.parse("s3://ledger/fleet/records/a.json"), OUTPUT)
    assert inside is not None
    assert "in the ledger" in inside
    for output in (
        "s3://ledger/fleet/",
        "s3://ledger/fleet/orders",
        "s3://ledger/",
        "s3://ledger//",
    ):
        refusal = everything.refuse(recording, S3Uri.parse(output))
        assert refusal is not None, output
    assert everything.refuse(recording, S3Uri.parse("s3://ledger/fleet-2/")) is None


def test_a_refusal_says_what_was_asked_for_and_what_is_allowed() -> None:
    refusal = allowed(inputs=("s3://calls/in/*",)).refuse(S3Uri.parse("s3://calls/a.wav"), OUTPUT)

    assert refusal == ("audio: s3://calls/a.wav is not below an allowed location (s3://calls/in/*)")


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("s3://bucket/", "s3://bucket/a", True),
        ("s3://bucket/a", "s3://bucket/a/", True),
        ("s3://bucket/a/b", "s3://bucket/a", True),
        ("s3://bucket/a", "s3://bucket/ab", False),
        ("s3://bucket/a", "s3://other/a", False),
    ],
)
def test_locations_overlap_where_one_is_below_the_other(
    one: str, other: str, expected: bool
) -> None:
    uris = S3Uri.parse(one), S3Uri.parse(other)

    assert overlap(*uris) is expected
    assert overlap(*reversed(uris)) is expected


def test_percent_signs_are_characters_like_others() -> None:
    key = "in/%2e%2e/secret.wav"

    assert unquote(key) == "in/../secret.wav"
    assert may_read("s3://calls/in/*", S3Uri.parse(f"s3://calls/{key}"))
