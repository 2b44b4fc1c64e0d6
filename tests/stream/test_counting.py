"""Counting where instances stand, page by page, as the HTTP side does it."""

from __future__ import annotations

import pytest

from orchestrator.engine.customer import Customer
from orchestrator.stream import counting
from orchestrator.stream.counting import Counting
from tests.engine.world import World, journey_of

WAIT = journey_of("- {id: wait, hold_until: [{on: paid}], timeout: 3d}\n- {id: stop, end: {}}", state="rest: true")


def stored(count: int) -> list[tuple[bytes, bytes]]:
    world = World(WAIT)
    for number in range(count):
        world.event("began", 0, customer=f"c{number:04}")
    customers: list[Customer] = [*world.simulation.customers.values()]
    return sorted((each.id.encode(), each.stored) for each in customers if each.stored is not None)


def counted(made: Counting, partition: int = 3) -> tuple[int, int]:
    """The instances counted, and how many pages that took."""
    total, pages, after = 0, 0, ""
    while True:
        page = made.page(partition, after)
        assert page is not None
        assert {place[:4] for place in page.counts} <= {("j", 1, "s", "wait")}
        total, pages, after = total + sum(place[4] for place in page.counts), pages + 1, page.after
        if not after:
            return total, pages


@pytest.mark.parametrize(("page_s", "pages"), [(60.0, 1), (0.0, 3)])
def test_v2_all_are_counted_once_in_as_many_pages_as_it_takes(monkeypatch: pytest.MonkeyPatch, page_s: float, pages: int) -> None:
    monkeypatch.setattr(counting, "PAGE_S", page_s)
    monkeypatch.setattr(counting, "CHUNK", 10)
    documents = [(b"\x00address:x", b"a note"), *stored(25)]
    made = Counting(lambda _, after, limit: [each for each in documents if not after or each[0] > after][:limit])
    assert counted(made) == (25, pages)


def test_v2_a_page_is_told_once_only_to_who_asks_for_its_partition_and_names_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "PAGE_S", 0.0)
    monkeypatch.setattr(counting, "CHUNK", 10)
    documents = stored(25)
    made = Counting(lambda _, after, limit: [each for each in documents if each[0] > after][:limit])
    first = made.page(3)
    assert first is not None
    assert not any(key.decode() in first.after for key, _ in documents)
    assert made.page(2, first.after) is None
    assert made.page(3, first.after) is None, "it was asked for"
    assert made.page(3, "no-such-page") is None


def test_v2_a_partition_that_is_elsewhere_is_not_counted() -> None:
    assert Counting(lambda *_: None).page(3) is None
