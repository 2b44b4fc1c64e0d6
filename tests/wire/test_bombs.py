"""Rule B1 against hostile bytes: a few of them that ask for much cost no memory, no time, and never the process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import InvalidTopology
from orchestrator.names import Reason
from orchestrator.wire.gate import DEFAULT_LIMITS, Gate, Refusal
from orchestrator.wire.schemas import SchemaSet, load_schemas
from tests.wire.messages import NOW, STREAMS, kafka_message

HUGE = (1 << 40, (1 << 62) - 1)
RESERVED = [
    {"name": "event_id", "type": "string"},
    {"name": "customer_id", "type": "string"},
    {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
]


def schema(kind: Any) -> dict[str, Any]:
    field = {"name": "load", "type": kind}
    return {
        "type": "record", "name": "Bomb", "namespace": "journeys.events", "event_type": "a.bomb", "event_version": "1.0",
        "fields": [*RESERVED, field],
    }  # fmt: skip


def load(folder: Path, kind: Any) -> SchemaSet:
    (folder / "a.bomb.avsc").write_text(json.dumps(schema(kind)))
    return load_schemas(folder)


def number(value: int) -> bytes:
    """An Avro long: zigzag, 7 bits a byte."""
    rest, out = (value << 1) ^ (value >> 63), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


WEIGHTLESS = {
    "array of null": {"type": "array", "items": "null"},
    "array of empty records": {"type": "array", "items": {"type": "record", "name": "Nothing", "fields": []}},
    "array of fixed(0)": {"type": "array", "items": {"type": "fixed", "name": "None0", "size": 0}},
    "array of records of nothing but null": {
        "type": "array",
        "items": {"type": "record", "name": "Nulls", "fields": [{"name": "a", "type": "null"}, {"name": "b", "type": "null"}]},
    },
    "an array within an array": {"type": "array", "items": {"type": "array", "items": "null"}},
    "a record that holds itself": {
        "type": "record", "name": "Tree", "fields": [{"name": "child", "type": ["null", "Tree"]}],
    },
    "records that hold each other": {
        "type": "record", "name": "Even",
        "fields": [{"name": "o", "type": ["null", {"type": "record", "name": "Odd", "fields": [{"name": "e", "type": "Even"}]}]}],
    },
    "a map of itself": {"type": "record", "name": "Dir", "fields": [{"name": "files", "type": {"type": "map", "values": "Dir"}}]},
}  # fmt: skip


@pytest.mark.parametrize("name", WEIGHTLESS)
def test_b1_a_schema_by_which_few_bytes_could_ask_for_all_memory_is_refused_before_any_record(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidTopology, match=r"take no bytes|recursive"):
        load(tmp_path, WEIGHTLESS[name])


COLLECTIONS = {
    "array of strings": {"type": "array", "items": "string"},
    "array of booleans": {"type": "array", "items": "boolean"},
    "array of nullable": {"type": "array", "items": ["null", "long"]},
    "array of arrays": {"type": "array", "items": {"type": "array", "items": "boolean"}},
    "map of null": {"type": "map", "values": "null"},
    "map of bytes": {"type": "map", "values": "bytes"},
    "text": "string",
    "bytes": "bytes",
}

# Limits that a bomb breaks through: 400 MB beyond the start, 20 s of processor.
BOUNDED = """
import resource, sys
from pathlib import Path
from tests.wire.test_bombs import admitted
size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize() + (400 << 20)
resource.setrlimit(resource.RLIMIT_AS, (size, size))
resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
for reason in admitted(Path(sys.argv[1])):
    print(reason)
"""


def admitted(folder: Path) -> list[str]:
    """Reasons for which each collection's bombs are refused, over all of them."""
    found = []
    for name, kind in COLLECTIONS.items():
        place = folder / name.replace(" ", "-")
        place.mkdir()
        known = load(place, kind)
        event = known.get("a.bomb")
        assert event is not None
        gate = Gate(known, STREAMS, lambda _: True)
        head = event.frame + number(2) + b"e1" + number(2) + b"c1" + number(NOW)
        bombs = [head + number(count) for count in HUGE]
        bombs += [head + number(-count) + number(size) for count in HUGE for size in (0, 8, HUGE[1])]
        bombs += [head + number(HUGE[0]) + bytes(900_000), head + b"\xff" * 900_000, head + b"\x80" * 900_000]
        for bomb in bombs:
            refusal = gate.admit(kafka_message(bomb), NOW)
            assert isinstance(refusal, Refusal), name
            found.append(refusal.reason if "MemoryError" not in refusal.message else f"{name}: out of memory")
    return found


def test_b1_collections_that_claim_to_be_huge_cost_neither_memory_nor_time(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BOUNDED, str(tmp_path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    reasons = done.stdout.splitlines()
    assert len(reasons) == len(COLLECTIONS) * 11
    assert set(reasons) <= {Reason.TRUNCATED, Reason.UNDECODABLE, Reason.TRAILING_BYTES}


def test_b1_the_largest_record_of_the_smallest_items_is_decoded_within_bounds(tmp_path: Path) -> None:
    """One byte an item is the most that a value can be blown up by: a million empty lists, 64 MB."""
    known = load(tmp_path, COLLECTIONS["array of arrays"])
    event = known.get("a.bomb")
    assert event is not None
    body = number(2) + b"e1" + number(2) + b"c1" + number(NOW)
    items = DEFAULT_LIMITS.value_bytes - len(event.frame + body) - 8
    value = event.frame + body + number(items) + bytes(items) + number(0)
    assert not isinstance(Gate(known, STREAMS, lambda _: True).admit(kafka_message(value), NOW), Refusal)
