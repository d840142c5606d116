from daemon.metrics import Metrics
from daemon.metrics.reference import PAGE_FILE, page


def test_the_published_page_is_the_definitions() -> None:
    assert PAGE_FILE.read_text(encoding="utf-8") == page(), "run `make metrics`"


def test_the_page_names_each_metric_in_its_group_and_each_label_with_its_values() -> None:
    text = page()
    for one in Metrics().definitions:
        group, _, rest = text.partition(f"\n## {one.group}\n")[2].partition("\n## ")
        assert f"| `{one.name}` | {one.kind} | {one.unit} |" in group, one.name
        for label in one.labels:
            assert f"`{label.name}`" in group
            assert label.words in rest
    assert "(empty), `missing`" in text


def test_labels_of_one_name_are_told_apart() -> None:
    rows = [row for row in page().splitlines() if row.startswith("| `reason`")]
    assert len(rows) == 3
    assert all(row.startswith("| `reason` of `whisper_fleet_") for row in rows)
    assert "`not_json`" in next(row for row in rows if "messages_rejected_total" in row)
