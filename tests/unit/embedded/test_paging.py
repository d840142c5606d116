import pytest

from daemon.embedded.batch.errors import InvalidRequestError
from daemon.embedded.batch.paging import take_page


def test_pages_together_hold_every_entry_once() -> None:
    seen: list[str] = []
    token: str | None = None
    while True:
        page, answer = take_page(enumerate("abcdefg"), token, 3, "ListJobs")
        seen += page
        if not answer:
            break
        token = answer["nextToken"]
    assert seen == list("abcdefg")


def test_the_last_page_has_no_token_even_when_it_is_full() -> None:
    assert take_page(enumerate("abc"), None, 3, "ListJobs") == (["a", "b", "c"], {})


def test_entries_that_go_between_pages_hide_no_others() -> None:
    _, answer = take_page([(-9, "i"), (-8, "h"), (-7, "g")], None, 2, "ListJobs")
    page, _ = take_page([(-7, "g"), (-3, "c")], answer["nextToken"], 2, "ListJobs")
    assert page == ["g", "c"]


@pytest.mark.parametrize("token", ["", "nonsense", "bm9uZQ==", "ü"])
def test_a_token_from_elsewhere_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequestError, match="nextToken"):
        take_page(enumerate("abc"), token, 2, "ListJobs")
