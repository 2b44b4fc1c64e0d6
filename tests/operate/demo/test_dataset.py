"""The CDNOW purchases as events."""

from __future__ import annotations

import hashlib
import itertools
import lzma
import re
from pathlib import Path

import pytest

from orchestrator.operate.demo import dataset
from orchestrator.operate.demo.events import DAY, as_line, utc_ms, write_lines
from orchestrator.wire.lines import EventLine, iso
from orchestrator.wire.schemas import load_schemas
from tests.oracle.winback import read_purchases


@pytest.fixture(scope="module")
def purchases() -> list[EventLine]:
    return list(dataset.purchases())


def test_all_purchases_of_all_customers_are_there(purchases: list[EventLine]) -> None:
    assert len(purchases) == dataset.PURCHASES == 69_659
    assert len({event.customer for event in purchases}) == dataset.CUSTOMERS == 23_570
    assert (iso(purchases[0].at), iso(purchases[-1].at)) == ("1997-01-01T00:00:00Z", "1998-06-30T00:00:00Z")
    assert all(event.at % DAY == 0 and event.event == "purchase.made" for event in purchases)


def test_order_is_time_then_customer_number_then_row(purchases: list[EventLine]) -> None:
    places = [(event.at, int(event.customer), int(event.id.removeprefix("p"))) for event in purchases]
    assert all(before < after for before, after in itertools.pairwise(places))


def test_the_first_events_are_those_of_the_file(purchases: list[EventLine]) -> None:
    assert as_line(purchases[0]) == (
        b'{"at":"1997-01-01T00:00:00Z","customer":"1","event":"purchase.made","id":"p0","data":{"quantity":1,"price":11.77}}'
    )
    by_id = {event.id: event for event in purchases}
    assert by_id["p2"] == EventLine(utc_ms(1997, 1, 12), "2", "purchase.made", "p2", {"quantity": 5, "price": 77.0})


def test_the_oracle_reads_the_same_purchases_with_its_own_code(purchases: list[EventLine]) -> None:
    mine = sorted((int(event.id[1:]), event.customer, event.at) for event in purchases)
    assert mine == [tuple(purchase) for purchase in read_purchases()]


def test_every_purchase_fits_the_schema_give_aways_included(purchases: list[EventLine]) -> None:
    schema = load_schemas().get("purchase.made")
    assert schema is not None
    free = [event for event in purchases if event.data["price"] == 0]
    assert len(free) == 80
    for event in [*free, *purchases[::50]]:
        assert schema.plain(event.data) == event.data


def test_the_provenance_names_these_very_bytes() -> None:
    page = dataset.CSV_XZ.with_name("PROVENANCE.md").read_text()
    packed = dataset.CSV_XZ.read_bytes()
    named = re.findall(r"`([0-9a-f]{64})`", page)
    assert named == [hashlib.sha256(each).hexdigest() for each in (lzma.decompress(packed), packed)]


def test_json_lines_are_written_one_an_event(purchases: list[EventLine], tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    assert write_lines(purchases[:3], path) == 3
    assert path.read_bytes().splitlines() == [as_line(event) for event in purchases[:3]]


def test_instants_are_shown_with_milliseconds_only_where_there_are_some() -> None:
    assert iso(1) == "1970-01-01T00:00:00.001Z"
    assert iso(1000) == "1970-01-01T00:00:01Z"
