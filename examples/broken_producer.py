"""A producer that has it wrong: JSON where Avro is expected. Every record becomes an incident, and no worker minds.

python examples/broken_producer.py localhost:9092 customer.events
"""

from __future__ import annotations

import json
import sys

from confluent_kafka import Producer


def main(bootstrap: str, topic: str) -> None:
    """Produce three of them."""
    producer = Producer({"bootstrap.servers": bootstrap, "partitioner": "murmur2_random"})
    for number in range(3):
        producer.produce(topic, json.dumps({"customer_id": f"c{number}", "event": "auth.login"}), f"c{number}")
    sys.exit("Kafka does not answer" if producer.flush(30) else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
