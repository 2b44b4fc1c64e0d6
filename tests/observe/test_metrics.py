"""The page of metrics: what it shows, and where it may be seen."""

from __future__ import annotations

import urllib.request

import pytest

from orchestrator.errors import UsageError
from orchestrator.observe import metrics


def _page(address: str) -> str:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        return str(answer.read().decode())


def test_the_page_shows_what_was_counted() -> None:
    metrics.STORES_REBUILT.labels(77).inc()
    metrics.RESTORE_REMAINING.labels(77).set(12)
    page = _page(metrics.serve("0"))
    assert 'orchestrator_stores_rebuilt_total{partition="77"} 1.0' in page
    assert 'orchestrator_restore_remaining_offsets{partition="77"} 12.0' in page
    assert "process_resident_memory_bytes" in page


def test_a_port_alone_is_open_to_this_machine_only() -> None:
    assert metrics.serve("0").startswith("127.0.0.1:")
    assert metrics.serve("localhost:0").startswith("localhost:")


@pytest.mark.parametrize("address", ["nonsense", "localhost:", "127.0.0.1:99999", "256.0.0.1:1", "x:y:z"])
def test_an_address_that_cannot_be_had_is_a_usage_error(address: str) -> None:
    with pytest.raises(UsageError) as caught:
        metrics.serve(address)
    assert address in str(caught.value)


def test_a_port_that_is_taken_is_named() -> None:
    taken = metrics.serve("0")
    with pytest.raises(UsageError, match="in use"):
        metrics.serve(taken)


LABELS = {
    "partition", "topic", "reason", "outcome", "journey", "version", "state", "step", "channel", "by", "branch", "arm", "kind",
    "equation",
}  # fmt: skip


def test_names_and_labels_follow_the_rules() -> None:
    for each in metrics.described():
        assert each.name.startswith("orchestrator_")
        assert each.what.endswith(".")
        assert set(each.labels) <= LABELS, "no label may come out of a record"
