"""A channel service in one file: reads commands, carries each out once, reports what became of it. Start yours from this.

    python examples/channel_service.py localhost:9092 journeys.actions.email --once

Four duties: read only what is committed; know a command again by `action_id` and `attempt`; do nothing after `expires_at`; report
to journeys.outcomes, keyed by the customer. Needs confluent-kafka and fastavro, and the two schemas; nothing of the orchestrator.
"""

from __future__ import annotations

import io
import json
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


def report(producer: Producer, command: dict[str, Any], status: str, code: str | None) -> None:
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
    producer.produce("journeys.outcomes", OUTCOME_FRAME + body.getvalue(), command["customer"])


def main(bootstrap: str, topic: str, *, once: bool) -> None:
    """Serve; with `once` until nothing has come for a while."""
    # murmur2: the report must land in the partition of its customer. librdkafka's own default is another hash.
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"example-{topic}",
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([topic])
    done: set[tuple[str, int]] = set()  # keep it in your database: it has to outlive this process
    idle_since = time.monotonic()
    try:
        while not once or time.monotonic() - idle_since < IDLE_S:
            message = consumer.poll(0.2)
            if message is None or message.error():
                continue
            idle_since = time.monotonic()
            command = read(message)
            identity = (command["action_id"], command["attempt"])
            if command["kind"] == "send" and identity not in done:
                status, code = carry_out(command)
                done.add(identity)
                report(producer, command, status, code)
                print(f"{command['customer']:8} {command['template']:16} {status} {code or ''}".rstrip())
            producer.flush()
            consumer.commit(message, asynchronous=False)  # only now: a crash before repeats the command, never loses it
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], once="--once" in sys.argv)
