"""Events in the present, without end: the demo's invented customers, one generation after the other, at a steady rate.

For a Kafka of one's own, so that journeys, lag and dashboards have something to show. Waits of days stay days.

    python -m orchestrator.operate.demo.trickle --bootstrap-server HOST:PORT --topologies DIR [--rate 20] [--count N]
"""

from __future__ import annotations

import argparse
import itertools
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from orchestrator.operate.demo.cohort import cohort
from orchestrator.wire.lines import EventLine


def generations(born: int) -> Iterator[EventLine]:
    """Give the cohort's events again and again, each time for new customers. `born` tells apart several runs."""
    events = cohort()
    for number in itertools.count():
        mark = f"{born:x}-{number}"
        for event in events:
            yield replace(event, customer=f"{event.customer}-{mark}", id=f"{event.id}-{mark}" if event.id else "")


def main() -> None:
    """Produce until SIGTERM, SIGINT, or as many events as were asked for."""
    from orchestrator import defaults
    from orchestrator.operate.produce import Encoder, EventProducer
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.wire.schemas import load_schemas

    parser = argparse.ArgumentParser(prog="python -m orchestrator.operate.demo.trickle", description="Events in the present.")
    parser.add_argument("--bootstrap-server", required=True)
    parser.add_argument("--topologies", type=Path, default=defaults.TOPOLOGIES)
    parser.add_argument("--rate", type=float, default=20.0, help="events a second")
    parser.add_argument("--count", type=int, help="end after so many")
    arguments = parser.parse_args()
    over = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: over.set())
    encoder = Encoder(load_schemas(), load_wiring(arguments.topologies).streams)
    producer = EventProducer({"bootstrap.servers": arguments.bootstrap_server}, encoder)
    for event in itertools.islice(generations(int(time.time())), arguments.count):
        if over.wait(1 / arguments.rate):
            break
        producer.send(replace(event, at=int(time.time() * 1000)))
        producer.serve()
    producer.close()


if __name__ == "__main__":
    main()
