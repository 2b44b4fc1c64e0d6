"""Hostile schemas and bytes by the thousand: `python -m tests.wire.writers_fuzz --seconds 600` for a long run.

A schema of ours is spoiled at random places; where it is still taken, random and spoiled bytes are decoded by it. Whatever comes,
the answer is a refusal or a record: an exception, a crash or a stall is a failure.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import random
import time
from collections import Counter
from typing import Any, Final

from orchestrator.engine.record import Record
from orchestrator.operate.contract.subjects import schema_text
from orchestrator.wire.framing import SchemaRef, confluent
from orchestrator.wire.gate import Gate, Refusal
from orchestrator.wire.schemas import EventType
from orchestrator.wire.writers import SchemaRefused, writer_of
from tests.wire.messages import NOW, SCHEMAS, STREAMS, kafka_message

STALL_S: Final = 20.0
HEAD: Final = b"\x04e1\x04c1" + b"\x80" * 5 + b"\x01"
ODD: Final[tuple[Any, ...]] = (
    None, True, 0, -1, 2**70, 1e308, "", "null", "string", "\ud800", "x" * 5_000,
    [], {}, ["null"], ["null", "null"], [[]], {"type": []},
    {"type": "array", "items": "null"}, {"type": "array", "items": ["null", "long"]},
    {"type": "map", "values": "journeys.events.PurchaseMade"},
    {"type": "fixed", "name": "F", "size": -1}, {"type": "fixed", "name": "F0", "size": 2**40},
    {"type": "enum", "name": "E", "symbols": []}, {"type": "long", "logicalType": "timestamp-nanos"},
    {"type": "bytes", "logicalType": "decimal", "precision": 10**6, "scale": 10**6},
)  # fmt: skip
NAMES: Final = (
    "type",
    "name",
    "fields",
    "default",
    "items",
    "known",
    "spread",
    "aliases",
    "symbols",
    "size",
    "scale",
    "logicalType",
)


def spoiled(value: Any, dice: random.Random) -> Any:
    """The same JSON with a few places changed."""
    if dice.random() < 0.04:
        return dice.choice(ODD)
    if isinstance(value, dict):
        made = {name: spoiled(each, dice) for name, each in value.items() if dice.random() > 0.01}
        if dice.random() < 0.05:
            made[dice.choice(NAMES)] = dice.choice(ODD)
        return made
    if isinstance(value, list):
        made_list = [spoiled(each, dice) for each in value]
        return made_list + made_list[-1:] if dice.random() < 0.02 else made_list
    return value


class _One:
    """A SchemaSource with one schema."""

    def __init__(self, event: EventType) -> None:
        self._event = event

    def resolve(self, ref: SchemaRef) -> EventType | None:
        return self._event


def _bytes(dice: random.Random) -> bytes:
    body = dice.choice((HEAD, b"")) + dice.randbytes(dice.randrange(60))
    return confluent(1) + body + dice.choice((b"", b"\xff" * 9 + b"\x01", b"\x80" * 40))


def once(dice: random.Random) -> Counter[str]:
    """Try one spoiled schema; what became of it, and of the records by it."""
    event = SCHEMAS.get(dice.choice(sorted(SCHEMAS.types)))
    assert event is not None
    text = json.dumps(spoiled(json.loads(schema_text(event)), dice))
    if dice.random() < 0.05:
        at = dice.randrange(len(text))
        text = text[:at] + dice.choice(("[" * 5_000, '{"type":' * 5_000, '"', "\ud800", "")) + text[at:]
    try:
        taken = writer_of(text, SCHEMAS)
    except SchemaRefused:
        return Counter({"schemas refused": 1})
    gate = Gate(SCHEMAS, STREAMS, lambda _: True, registry=_One(taken))
    found = Counter({"schemas taken": 1})
    for _ in range(5):
        admitted = gate.admit(kafka_message(_bytes(dice)), NOW)
        assert admitted is None or isinstance(admitted, Record | Refusal)
        found["records" if isinstance(admitted, Record) else "refusals"] += 1
    return found


def run(seed: int, seconds: float, most: int) -> Counter[str]:
    """Try until the time or the number is over. A failure names the seed of the one that failed."""
    found, ends, number = Counter[str](), time.monotonic() + seconds, 0
    while number < most and time.monotonic() < ends:
        one, started = seed + number, time.process_time()
        faulthandler.dump_traceback_later(STALL_S * 3, exit=True)  # what holds Python's lock is stopped by nothing else
        try:
            found += once(random.Random(one))
        except Exception as error:
            raise AssertionError(f"seed {one}") from error
        assert time.process_time() - started < STALL_S, f"seed {one} stalled"
        number += 1
    faulthandler.cancel_dump_traceback_later()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**40))
    given = parser.parse_args()
    print(f"seed {given.seed}: {dict(run(given.seed, given.seconds, 10**9))}")
