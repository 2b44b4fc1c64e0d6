"""A producer that has it right, with nothing of this project: Avro single objects, keyed by customer as Java's clients do.

python examples/producer.py localhost:9092 customer.events schemas/avro/events/purchase.made.avsc
"""

from __future__ import annotations

import io
import json
import sys
import time
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import KafkaError, Message, Producer
from fastavro.schema import fingerprint, parse_schema, to_parsing_canonical_form


def single_object(schema_file: str) -> tuple[bytes, Any]:
    """Give what each value begins with, C3 01 and the schema's CRC-64-AVRO in 8 bytes little-endian, and the parsed schema."""
    schema = json.loads(Path(schema_file).read_text(encoding="utf-8"))
    crc = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
    return b"\xc3\x01" + bytes.fromhex(crc), parse_schema(schema)


def delivered(error: KafkaError | None, message: Message) -> None:
    """Say where a record went. One that did not arrive is for the caller to repeat, with the same `event_id`."""
    place = f"{message.topic()}/{message.partition()} at {message.offset()}"
    print(f"not delivered: {error}" if error else place, file=sys.stderr if error else sys.stdout)


def main(bootstrap: str, topic: str, schema_file: str) -> None:
    """Produce a purchase of three customers each."""
    prefix, schema = single_object(schema_file)
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            # librdkafka's own default is another hash: a customer's events would be in other partitions than Java's.
            "partitioner": "murmur2_random",
            "enable.idempotence": True,  # a retry neither repeats a record nor changes the order
        }
    )
    for customer in ("ada", "ben", "cleo"):
        now = int(time.time() * 1000)
        event = {
            "event_id": str(uuid.uuid4()),  # one for the fact, not one for each attempt to tell it
            "customer_id": customer,
            "occurred_at": now,
            "quantity": 1,
            "price": Decimal("9.50"),
        }
        value = io.BytesIO(prefix)
        value.seek(0, io.SEEK_END)
        fastavro.schemaless_writer(value, schema, event)
        producer.produce(topic, value.getvalue(), customer, on_delivery=delivered, timestamp=now)
    sys.exit("Kafka does not answer" if producer.flush(30) else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
