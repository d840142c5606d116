from hypothesis import given
from hypothesis import strategies as st

from daemon.dead_letters import REASON_MAX_CHARACTERS, dead_letter


def test_the_body_is_kept_as_it_came_and_the_facts_stand_beside_it() -> None:
    letter = dead_letter("{oops", reason="not_json", detail="no brace", facts={"message_id": "m"})

    assert letter.body == "{oops"
    assert letter.attributes == {"reason": "not_json", "detail": "no brace", "message_id": "m"}


def test_empty_facts_are_left_out_because_sqs_refuses_them() -> None:
    letter = dead_letter("x", reason="r", detail="", facts={"request_id": ""})

    assert letter.attributes == {"reason": "r"}


@given(st.text(max_size=50))
def test_what_sqs_does_not_accept_is_taken_out(detail: str) -> None:
    attributes = dead_letter("x", reason="r", detail=f"a{detail}", facts={}).attributes

    assert not any(c < "\x20" and c not in "\t\n\r" for c in attributes["detail"])
    assert "\x00" not in attributes["detail"]
    assert not any(0xD800 <= ord(c) <= 0xDFFF or ord(c) in (0xFFFE, 0xFFFF) for c in detail) or (
        attributes["detail"] != f"a{detail}"
    )


def test_a_long_detail_is_cut() -> None:
    letter = dead_letter("x", reason="r", detail="y" * 5000, facts={})

    assert len(letter.attributes["detail"]) == REASON_MAX_CHARACTERS
