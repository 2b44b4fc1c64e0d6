"""A producer that keeps feeding while things break: purchases, sign-ups and broken payloads, the same ones for the same seed."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from typing import Final

from msgspec.structs import replace

from orchestrator.operate.demo.broken import Broken, broken
from orchestrator.operate.demo.cohort import cohort
from orchestrator.operate.demo.feed import SETTINGS, interleaved
from orchestrator.operate.produce import Encoder
from orchestrator.wire.lines import EventLine
from orchestrator.wire.schemas import load_schemas
from tests.contract.cdnow import some_purchases
from tests.contract.stage import Stage

ONE_IN: Final = 24  # of the purchases' customers, in one lap
COHORT: Final = 400
TICK_S: Final = 0.05
RATE: Final = 120  # records a second; every now and then those of BURST_S come at once
BURST_S: Final = 5
PATIENCE_MS: Final = 600_000  # brokers may be away for long
BURST_ODDS: Final = 0.005  # a tick


def records(seed: int, stage: Stage) -> Iterator[EventLine | Broken]:
    """Yield records without end, in laps of about 5,500; each lap has customers of its own."""
    encoder = Encoder(load_schemas(), stage.topology.streams)
    spoiled = broken(lambda line: encoder.encode(line)[1])
    bought = some_purchases(ONE_IN)
    for lap in itertools.count():
        events = [*bought, *cohort(seed + lap, COHORT)]
        yield from interleaved([_of_lap(lap, each) for each in events], spoiled)


def _of_lap(lap: int, event: EventLine) -> EventLine:
    return replace(event, customer=f"{event.customer}-{lap}", id=f"{event.id}-{lap}")


class Feed:
    """Produces in a thread of its own until `stop`. What it could not produce is raised there."""

    def __init__(self, stage: Stage, seed: int, *, rate: int = RATE) -> None:
        self.sent = 0
        self._stage = stage
        self._seed = seed
        self._rate = rate
        self._over = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._thread.start()

    def stop(self) -> int:
        """End when Kafka has everything, and give how many records there are."""
        self._over.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self.sent

    def _run(self) -> None:
        try:
            self._produce()
        except Exception as error:  # told by `stop`, in the thread that can fail
            self._failure = error

    def _produce(self) -> None:
        dice = random.Random(self._seed)
        producer = self._stage.producer(**SETTINGS, **{"message.timeout.ms": PATIENCE_MS})
        waiting = records(self._seed, self._stage)
        while not self._over.wait(TICK_S):
            count = self._rate * BURST_S if dice.random() < BURST_ODDS else max(1, round(self._rate * TICK_S))
            for record in itertools.islice(waiting, count):
                if isinstance(record, EventLine):
                    producer.send(record)
                else:
                    producer.send_raw(self._stage.events, record.key, record.value, record.at, list(record.headers))
                self.sent += 1
            producer.serve()
        producer.close()
