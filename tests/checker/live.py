"""A read_committed reader that looks on while a system is tormented, and remembers in what order it saw what."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from orchestrator import kafka
from orchestrator.wire.gate import Message
from tests.checker.evidence import Evidence, Place
from tests.checker.report import Report

_POLL_S: Final = 0.2
_BATCH: Final = 5_000

Seen = Mapping[Place, Sequence[tuple[int, bytes]]]  # by log: offset and digest, in the order of reading


def digest(message: Message) -> bytes:
    """Give 16 bytes that stand for a record's key, value and headers."""
    whole = repr((message.key(), message.value(), message.headers() or []))
    return blake2b(whole.encode(), digest_size=16).digest()


class LiveReader:
    """Reads outputs from their beginning in a thread of its own. A context manager; `seen` may be asked at any time.

    `seen()` is plain data: a process of its own may hand it over, pickled. Each record costs about 100 bytes.
    """

    def __init__(self, bootstrap: str, topics: Iterable[str], partitions: int, client: Mapping[str, Any] | None = None) -> None:
        self._places = [(topic, number) for topic in topics for number in range(partitions)]
        self._config = {"bootstrap.servers": bootstrap, **(client or {})}
        self._seen: dict[Place, list[tuple[int, bytes]]] = defaultdict(list)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="live-reader", daemon=True)
        self.trouble: list[str] = []  # what librdkafka said and did not get over by itself

    def __enter__(self) -> LiveReader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the reading. Blocks until it is over."""
        self._stop.set()
        self._thread.join(30)

    def seen(self) -> Seen:
        """Give what was seen so far."""
        return {place: list(rows) for place, rows in self._seen.items()}

    def wait_for(self, place: Place, records: int, timeout_s: float) -> bool:
        """Wait until so many records of a log were seen; tell whether they were."""
        deadline = time.monotonic() + timeout_s
        while len(self._seen.get(place, ())) < records and time.monotonic() < deadline:
            time.sleep(0.05)
        return len(self._seen.get(place, ())) >= records

    def _run(self) -> None:
        reader = kafka.consumer(
            {
                "fetch.wait.max.ms": 50,
                **self._config,
                "group.id": "live-reader",
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "isolation.level": "read_committed",
            }
        )
        try:
            reader.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in self._places])
            while not self._stop.is_set():
                self._take(reader.consume(_BATCH, _POLL_S))
        finally:
            reader.close()

    def _take(self, messages: Iterable[Any]) -> None:
        for message in messages:
            error = message.error()
            if error is None:
                self._seen[message.topic(), message.partition()].append((message.offset(), digest(message)))
            elif error.code() != KafkaError._PARTITION_EOF and not error.retriable():
                self.trouble.append(f"{message.topic()}/{message.partition()}: {error.name()}")


def check_seen(seen: Seen, evidence: Evidence, report: Report) -> None:
    """Demand that what a reader saw of each log is the beginning of what the log holds in the end."""
    for (topic, number), rows in seen.items():
        final = evidence.of(topic, number).records
        report.counts["records seen live"] += len(rows)
        for index, (offset, seen_digest) in enumerate(rows):
            if index >= len(final) or (final[index].offset(), digest(final[index])) != (offset, seen_digest):
                there = f"offset {final[index].offset()}" if index < len(final) else "nothing"
                what = f"a live reader saw this as record {index}, where the final read has {there}"
                report.differ(f"{topic}/{number}/{offset}", what)
                break
