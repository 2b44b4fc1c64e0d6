"""Rows 16 and 17 of the fault matrix: everything hostile that a topic can hold, through a real worker, in one table."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from orchestrator.kafka import admin
from orchestrator.names import Header, Reason
from tests.brokers import Row, fill
from tests.contract.cdnow import assert_journal_is_one_chain
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage
from tests.contract.test_deadly_records import AT, purchase
from tests.wire.messages import SCHEMAS

GOOD = purchase("c1", "e1")
FRAME = GOOD[:10]
LIMIT = 1_000_000  # of an event's value
HUGE = b"\x80\x80\x80\x80\x80\x80\x80\x80\x40"  # 2^61 as an Avro long
FOR_EVER = (1 << 63) - 1
BOMB_RECORDS, BOMB_RECORD_BYTES = 60, 900_000  # 54 MB that gzip packs into 50 KB
RSS_ALLOWED_MB = 500


class Poison(NamedTuple):
    """A record, and the reason for which it must become an incident."""

    reason: str
    value: bytes | None = GOOD
    key: bytes | None = b"c1"
    headers: list[tuple[str, bytes | None]] | None = None
    timestamp: int = AT


def profile(customer: str, name: str, size: int) -> bytes:
    schema = SCHEMAS.get("profile.updated")
    assert schema is not None
    return schema.encode(customer, f"{customer}-{name}", AT, {name: "x" * size})


POISON = {
    "no value: a tombstone": Poison(Reason.NO_VALUE, value=None),
    "nothing at all": Poison(Reason.NO_VALUE, value=None, key=None),
    "no bytes": Poison(Reason.NOT_AVRO, value=b""),
    "no key": Poison(Reason.KEY_ABSENT, key=None),
    "a key of no UTF-8": Poison(Reason.KEY_MISMATCH, key=b"\xff\xfe"),
    "a key of the engine's own": Poison(Reason.KEY_MISMATCH, key=b"\x00rate:sms"),
    "a huge key": Poison(Reason.TOO_LARGE, key=b"k" * 60_000),
    "10,000 headers": Poison(Reason.TOO_LARGE, headers=[("h", b"v")] * 10_000),
    "huge headers": Poison(Reason.TOO_LARGE, headers=[("h", b"v" * 300_000)]),
    "a header that is no UTF-8": Poison(Reason.NOT_AVRO, value=b"?", headers=[("h", b"\xff\xfe")]),
    "text of no UTF-8": Poison(Reason.UNDECODABLE, value=FRAME + b"\x04\xff\xfe" + b"\x04c1" + GOOD[-20:]),
    "text of 2^61 bytes": Poison(Reason.TRUNCATED, value=FRAME + HUGE),
    "numbers without end": Poison(Reason.TRUNCATED, value=FRAME + b"\xff" * 500_000),
    "5,000 bytes of nesting by a schema of nobody": Poison(Reason.UNKNOWN_SCHEMA, value=b"\xc3\x01recursed" + b"\x02" * 5_000),
    "the year 292278994": Poison(Reason.TIME_ABSURD, timestamp=FOR_EVER),
    "more than a value may be": Poison(Reason.TOO_LARGE, value=GOOD + b"x" * LIMIT),
    "all that a value may be, and full headers": Poison(
        Reason.TRAILING_BYTES, value=GOOD + b"x" * (LIMIT - len(GOOD)), headers=[("h", b"v" * 16_000)]
    ),
    "an incident's own words": Poison(
        Reason.NOT_AVRO, b"?", headers=[(Header.INCIDENT_REASON, Reason.CRASHED_WORKER.encode()), (Header.ERROR_OFFSET, b"0")]
    ),
}  # fmt: skip


def let_all_times_in(stage: Stage) -> None:
    entry = ConfigEntry("message.timestamp.after.max.ms", str(FOR_EVER), incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, stage.events, incremental_configs=[entry])
    client = admin({"bootstrap.servers": stage.broker.bootstrap})
    client.incremental_alter_configs([resource])[resource].result(10)


def peak_mb(pid: int) -> int:
    """The most memory that a process ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def assert_untouched(row: Row, poison: Poison, offset: int) -> None:
    """Key, value and headers are the record's own; what is beyond the limits is its beginning, and says so with its digest."""
    told = dict(row.headers)
    cut = (told.get(Header.TRUNCATED) or b"").decode().split(",")
    headers = tuple(poison.headers or ())
    own = len(row.headers) - next(i for i, (name, _) in reversed(list(enumerate(row.headers))) if name == Header.ERROR_EXCEPTION)
    assert told[Header.INCIDENT_REASON].decode() == poison.reason
    assert (told[Header.ERROR_OFFSET], told[Header.ERROR_PARTITION]) == (str(offset).encode(), b"0")
    assert row.value == (poison.value[:LIMIT] if "value" in cut and poison.value else poison.value)
    assert row.key == (poison.key[:1024] if "key" in cut and poison.key else poison.key)
    if "headers" in cut:
        assert row.headers[: len(row.headers) - own - 2] == headers[: len(row.headers) - own - 2]
    else:
        assert row.headers[: len(headers)] == headers
    if told.get(Header.TRUNCATED):
        assert told[Header.SHA256].decode() == hashlib.sha256(poison.value or b"").hexdigest()
    assert (told.get(Header.TRUNCATED) is not None) == (poison.reason == Reason.TOO_LARGE)


def test_b1_a5_i3_whatever_a_topic_holds_the_worker_lives_and_nothing_is_lost(stage_on_kafka: MakeStage) -> None:
    stage = stage_on_kafka(partitions=1)
    let_all_times_in(stage)
    records = [{**each._asdict(), "partition": 0} for each in POISON.values()]
    for record in records:
        del record["reason"]
    fill(stage.broker.bootstrap, stage.events, records, **{"message.max.bytes": 1_048_576 + 65_536})
    # A profile that would outgrow what a document may hold: not applied, and the customer stays as before.
    grown = [{"key": b"c9", "value": profile("c9", name, 600_000), "timestamp": AT} for name in ("first", "second")]
    fill(stage.broker.bootstrap, stage.events, grown)
    # Zeros look like a registry's id 0, and there is no registry.
    bomb = [{"key": b"bomb", "value": bytes(BOMB_RECORD_BYTES), "timestamp": AT}] * BOMB_RECORDS
    fill(
        stage.broker.bootstrap, stage.events, bomb,
        **{"compression.type": "gzip", "linger.ms": 1000, "message.max.bytes": 100_000_000, "batch.size": 100_000_000},
    )  # fmt: skip
    last = {"key": b"c2", "value": purchase("c2", "last"), "timestamp": AT}
    fill(stage.broker.bootstrap, stage.events, [last])

    worker = stage.worker()
    total = len(POISON) + 2 + BOMB_RECORDS + 1
    stage.wait_until("everything is handled", lambda: stage.handled_records() == total, 120)
    peak = peak_mb(worker.pid)
    print(f"peak RSS {peak} MB")
    assert peak < RSS_ALLOWED_MB
    incidents = stage.incidents()
    reasons = [dict(row.headers)[Header.INCIDENT_REASON].decode() for row in incidents]
    assert reasons[: len(POISON)] == [poison.reason for poison in POISON.values()]
    assert reasons[len(POISON) :] == [Reason.DOCUMENT_TOO_LARGE] * 2 + [Reason.UNKNOWN_SCHEMA] * BOMB_RECORDS
    for offset, (row, poison) in enumerate(zip(incidents, POISON.values(), strict=False)):
        assert_untouched(row, poison, offset)
    assert [row.value for row in incidents[len(POISON) : len(POISON) + 2]] == [record["value"] for record in grown]
    assert set(stage.changelog_documents()) == {b"c9", b"c2"}, "the partition went on"
    assert worker.stop() == 0
    assert_journal_is_one_chain(stage)
