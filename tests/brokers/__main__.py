"""A real Kafka in the foreground, for people: `python -m tests.brokers`. Ctrl-C ends it and removes its data."""

from __future__ import annotations

import signal
import sys
import threading

from tests.brokers.choice import start_kafka
from tests.brokers.download import KafkaUnavailable
from tests.brokers.kafka_process import LONG_LIVED


def main() -> int:
    """Print the broker's address on standard output, then wait to be ended."""
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: over.set())
    print("starting Kafka (the first time it is downloaded, 112 MB)", file=sys.stderr, flush=True)
    try:
        broker = start_kafka(LONG_LIVED)
    except KafkaUnavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    try:
        print(broker.bootstrap, flush=True)
        print("ready; Ctrl-C ends it and removes its data", file=sys.stderr, flush=True)
        over.wait()
    finally:
        broker.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
