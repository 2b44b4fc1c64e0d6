"""The whole CDNOW data through `orchestrator simulate`, against the oracle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator import defaults
from orchestrator.operate.demo.dataset import CUSTOMERS, purchases
from orchestrator.operate.demo.events import utc_ms, write_lines
from tests.oracle.actual import read_actions
from tests.oracle.compare import differences
from tests.oracle.winback import ExpectedAction, Purchase, expected_actions, read_purchases


def simulate(directory: Path, until: str, *, customers: int = CUSTOMERS, without: str = "") -> list[ExpectedAction]:
    events, actions = directory / "events.jsonl", directory / "actions.jsonl"
    write_lines((each for each in purchases() if int(each.customer) <= customers and each.id != without), events)
    subprocess.run(
        [sys.executable, "-m", "orchestrator", "simulate", "--topologies", str(defaults.TOPOLOGIES), "--events", str(events),
         "--until", until, "--actions", str(actions)],
        check=True, stdout=subprocess.DEVNULL, timeout=240,
    )  # fmt: skip
    return read_actions(actions)


@pytest.fixture(scope="module")
def rows() -> list[Purchase]:
    return read_purchases()


def test_t3_i1_simulate_gives_the_oracles_actions_for_all_of_cdnow(rows: list[Purchase], tmp_path: Path) -> None:
    expected = expected_actions(rows, utc_ms(1998, 12, 31))
    assert len(expected) == 74_083
    actual = simulate(tmp_path, "1998-12-31T00:00:00Z")
    assert differences(expected, actual) == []
    # A run over the data without one purchase must be told apart: the comparison compares.
    assert differences(expected, actual[1:]) != []


def test_a22_simulate_stops_where_it_is_told_to_and_fires_what_is_due_then(rows: list[Purchase], tmp_path: Path) -> None:
    until = utc_ms(1997, 6, 30)
    expected = expected_actions([row for row in rows if row.at <= until and int(row.customer) <= 2_000], until)
    assert any(action.at == until for action in expected)
    assert differences(expected, simulate(tmp_path, "1997-06-30T00:00:00Z", customers=2_000)) == []


def test_one_purchase_less_changes_just_that_customers_actions(rows: list[Purchase], tmp_path: Path) -> None:
    # customer 2    1997-01-12 p1, p2         without p2: p1 waits
    #               |----60 d----> miss-you --30 d--> last-offer, at the same instants of another instance
    until = utc_ms(1998, 12, 31)
    expected = expected_actions([row for row in rows if int(row.customer) <= 200], until)
    found = differences(expected, simulate(tmp_path, "1998-12-31T00:00:00Z", customers=200, without="p2"))
    assert {line.split()[2] for line in found} == {"2:"}
    assert len(found) == 4
