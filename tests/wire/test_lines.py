"""Event lines: what `produce` and `simulate` read, and what they say of a line that is none."""

from __future__ import annotations

import pytest

from orchestrator.wire.lines import EventLine, iso, parse_line, read_lines
from orchestrator.wire.schemas import BadEvent

LINE = b'{"at": "1997-01-01T00:00:00Z", "customer": "1", "event": "purchase.made", "id": "p0", "data": {"price": 11.77}}'


def test_a_line_is_read() -> None:
    assert parse_line(LINE) == EventLine(852_076_800_000, "1", "purchase.made", "p0", {"price": 11.77})


def test_id_and_data_may_be_left_out_and_times_may_be_milliseconds() -> None:
    assert parse_line(b'{"at": 5, "customer": "1", "event": "auth.login"}') == EventLine(5, "1", "auth.login", "", {})


WRONG = {
    b"{": "not JSON",
    b"[]": "expected a mapping",
    b'{"customer": "1", "event": "e"}': "at: expected ISO 8601 text with a zone",
    b'{"at": "1997-01-01", "customer": "1", "event": "e"}': "at: expected ISO 8601 text with a zone",
    b'{"at": 1, "event": "e"}': "customer: expected text",
    b'{"at": 1, "customer": 7, "event": "e"}': "customer: expected text",
    b'{"at": 1, "customer": "", "event": "e"}': "customer: expected text",
    b'{"at": 1, "customer": "1", "type": "e"}': "event: expected text",
    b'{"at": 1, "customer": "1", "event": "e", "id": 5}': "id: expected text",
    b'{"at": 1, "customer": "1", "event": "e", "data": []}': "data: expected a mapping",
    b'{"at": 1, "custommer": "1", "event": "e"}': "custommer: no such field of a line; did you mean 'customer'?",
    b"\xff\xfe": "not JSON",
}


@pytest.mark.parametrize("line", WRONG)
def test_what_is_wrong_with_a_line_is_said(line: bytes) -> None:
    with pytest.raises(BadEvent) as caught:
        parse_line(line)
    assert any(WRONG[line] in fault for fault in caught.value.faults)


def test_everything_wrong_is_said_at_once() -> None:
    with pytest.raises(BadEvent) as caught:
        parse_line(b'{"at": "x", "customer": 1}')
    assert len(caught.value.faults) == 3


def test_lines_keep_their_numbers_over_empty_ones() -> None:
    found = list(read_lines([LINE, b"\n", b"  ", b"{", LINE]))
    assert [number for number, _ in found] == [1, 4, 5]
    assert isinstance(found[1][1], BadEvent)


@pytest.mark.parametrize(
    ("at", "text"), [(0, "1970-01-01T00:00:00Z"), (852_076_800_001, "1997-01-01T00:00:00.001Z"), (-1, "1969-12-31T23:59:59.999Z")]
)
def test_an_instant_as_text(at: int, text: str) -> None:
    assert iso(at) == text
