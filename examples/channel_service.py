"""A channel service in one file: reads commands, carries each out once, reports what became of it. Start yours from this.

    python examples/channel_service.py localhost:9092 journeys.actions.email --once

Its duties are those of docs/channels.md. Needs confluent-kafka and fastavro, and the two schemas; nothing of the orchestrator.
"""

from __future__ import annotations

import argparse
import io
import json
import sqlite3
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import Consumer, Message, Producer
from fastavro.schema import fingerprint, to_parsing_canonical_form

SCHEMAS = Path(__file__).parents[1] / "schemas" / "avro"
ACTION = fastavro.parse_schema(json.loads((SCHEMAS / "journeys" / "Action.avsc").read_text()))
OUTCOME = fastavro.parse_schema(json.loads((SCHEMAS / "events" / "action.outcome.avsc").read_text()))
# Avro single-object encoding: C3 01, then which schema it was written with (CRC-64-AVRO, 8 bytes little-endian).
FRAME = b"\xc3\x01"
FRAME_BYTES = 10
OUTCOME_FRAME = FRAME + int(fingerprint(to_parsing_canonical_form(OUTCOME), "CRC-64-AVRO"), 16).to_bytes(8, "big")
IDLE_S = 5.0


def read(message: Message) -> dict[str, Any]:
    """Decode a command."""
    return fastavro.schemaless_reader(io.BytesIO(message.value()[FRAME_BYTES:]), ACTION)


def carry_out(command: dict[str, Any]) -> tuple[str, str | None]:
    """Send the message, really; give the status (delivered, bounced, failed) and for a failure your code."""
    if command["expires_at"] <= datetime.now(UTC):
        return "failed", "expired"
    return "delivered", None


def report(producer: Producer, topic: str, command: dict[str, Any], status: str, code: str | None) -> None:
    """Tell the journeys. The event id comes from the command, so that a report sent twice counts once."""
    outcome = {
        "event_id": f"outcome-{command['action_id']}-{command['attempt']}",
        "customer_id": command["customer"],
        "occurred_at": datetime.now(UTC),
        "action_id": command["action_id"],
        "status": status,
        "code": code,
        "data": {},
    }
    body = io.BytesIO()
    fastavro.schemaless_writer(body, OUTCOME, outcome)
    producer.produce(topic, OUTCOME_FRAME + body.getvalue(), command["customer"])


class Memory:
    """What was carried out, and what came of it: it outlives this process."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        columns = "action_id text, attempt integer, status text, code text, primary key (action_id, attempt)"
        self._database.execute(f"create table if not exists done ({columns})")

    def recall(self, command: dict[str, Any]) -> tuple[str, str | None] | None:
        """Give what came of a command, None where it was not carried out."""
        identity = (command["action_id"], command["attempt"])
        found: Any = self._database.execute("select status, code from done where action_id = ? and attempt = ?", identity)
        return found.fetchone()

    def keep(self, command: dict[str, Any], status: str, code: str | None) -> None:
        """Remember what came of a command."""
        row = (command["action_id"], command["attempt"], status, code)
        self._database.execute("insert or replace into done values (?, ?, ?, ?)", row)

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def serve(command: dict[str, Any], memory: Memory) -> tuple[str, str | None] | None:
    """Carry a command out unless that was done before; give what to report, None for nothing.

    A crash after `carry_out` and before `keep` carries it out again: hand `action_id` on to your gateway, if it knows such ids.
    """
    if command["kind"] == "cancel":
        return None  # it has gone out already: this service has no queue from which it could be taken back
    if command["kind"] != "send":
        return None  # a kind of a later version
    known = memory.recall(command)
    if known is None:
        known = carry_out(command)
        memory.keep(command, *known)
    return known


def main(options: argparse.Namespace) -> None:
    """Serve; with `once` until nothing has come for a while."""
    # murmur2: the report must land in the partition of its customer. librdkafka's own default is another hash.
    producer = Producer({"bootstrap.servers": options.bootstrap, "partitioner": "murmur2_random"})
    consumer = Consumer(
        {
            "bootstrap.servers": options.bootstrap,
            "group.id": f"example-{options.topic}",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([options.topic])
    memory = Memory(options.database)
    print(f"serving {options.topic}", file=sys.stderr, flush=True)
    idle_since = time.monotonic()
    try:
        while not options.once or time.monotonic() - idle_since < IDLE_S:
            message = consumer.poll(0.2)
            if message is None or message.error():
                continue
            idle_since = time.monotonic()
            command = read(message)
            outcome = serve(command, memory)
            if outcome is not None:
                report(producer, options.outcomes_topic, command, *outcome)
                what = command["template"] or command["action"] or command["kind"]
                print(f"{command['customer']:8} {what:16} {outcome[0]} {outcome[1] or ''}".rstrip(), flush=True)
            producer.flush()
            consumer.commit(message, asynchronous=False)  # only now: a crash before repeats the command, never loses it
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()
        memory.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("bootstrap", help="Kafka brokers, host:port")
    parser.add_argument("topic", help="the channel's topic of commands")
    parser.add_argument("--outcomes-topic", default="journeys.outcomes", help="where to report [journeys.outcomes]")
    parser.add_argument("--database", default="channel-service.sqlite", help="what was carried out [channel-service.sqlite]")
    parser.add_argument("--once", action="store_true", help="end when nothing has come for 5 s")
    main(parser.parse_args())
