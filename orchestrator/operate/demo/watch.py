"""Reads what a run writes, while it runs: decisions, actions, outcomes, incidents and the journal, into the tally."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import orjson
from msgspec import Struct

from orchestrator.errors import RefusedByState
from orchestrator.names import ACTION_OUTCOME, Header
from orchestrator.operate.demo.events import SECOND
from orchestrator.operate.demo.tally import Plain, Tally
from orchestrator.wire.lines import action_line, iso

_BATCH: Final = 2_000
_POLL_S: Final = 0.1


class Topics(Struct, frozen=True):
    """What to read: topic names as in streams.yaml and policy.yaml. `partitions` holds for all of them."""

    events: str
    actions: tuple[str, ...]
    outcomes: str
    transitions: str
    incidents: str
    journal: str
    partitions: int

    @property
    def read(self) -> tuple[str, ...]:
        """The topics that the watcher reads."""
        return (*self.actions, self.outcomes, self.transitions, self.incidents, self.journal)


class Pace:
    """How fast events are handled, from the record times of the journal."""

    def __init__(self) -> None:
        self._first: tuple[int, int] | None = None
        self._last: tuple[int, int] = (0, 0)

    def take(self, at_ms: int, handled: int) -> None:
        """Note that so many events were handled at this time."""
        if self._first is None:
            self._first = (at_ms, handled)
        if handled > self._last[1]:
            self._last = (max(at_ms, self._last[0]), handled)

    @property
    def events_per_s(self) -> float | None:
        """The rate between the first and the last cycle that handled events; None for a single cycle."""
        if self._first is None or self._last[0] <= self._first[0]:
            return None
        return (self._last[1] - self._first[1]) * SECOND / (self._last[0] - self._first[0])


class Kept:
    """Writes actions and decisions as JSON lines, as `orchestrator simulate` does."""

    def __init__(self, directory: Path) -> None:
        """Make `actions.jsonl` and `decisions.jsonl` in the directory, which exists."""
        self._actions = (directory / "actions.jsonl").open("wb")
        self._decisions = (directory / "decisions.jsonl").open("wb")

    def action(self, action: Plain) -> None:
        """Write one action."""
        self._actions.write(orjson.dumps(action_line(action)) + b"\n")

    def handling(self, handling: Plain) -> None:
        """Write the decisions of one handling, a line each."""
        head = {"at": iso(handling["at"]), "customer": handling["customer"]}
        cause = {"event": handling["event"], "event_id": handling["event_id"]}
        for decision in handling["decisions"]:
            told = {"journey": decision["journey"] or "", "kind": decision["kind"], "reason": decision["reason"] or ""}
            detail = {name: iso(int(value)) if name == "deadline" else value for name, value in decision["detail"].items()}
            rest = {name: value for name, value in {**decision, "detail": detail, **cause}.items() if value and name not in told}
            self._decisions.write(orjson.dumps({**head, **told, **rest}) + b"\n")

    def close(self) -> None:
        """Write what is left."""
        self._actions.close()
        self._decisions.close()


class Watcher:
    """Reads in a thread of its own, read_committed, from the beginning of every topic. `failure` says why it gave up.

    The embedded broker shows aborted transactions to every reader. What an aborted cycle wrote, the next one writes again, byte
    for byte; so whatever was seen before is left out. On a real Kafka there is nothing to leave out.
    """

    def __init__(self, bootstrap: str, topics: Topics, tally: Tally, kept: Kept | None = None) -> None:
        """Take where to read and where to count. Nothing is read before `start`."""
        from orchestrator.wire.actions import decode_action
        from orchestrator.wire.handlings import decode_handling
        from orchestrator.wire.schemas import load_schemas

        self.tally = tally
        self.pace = Pace()
        self.failure: Exception | None = None
        self.outcome_ends: dict[int, int] = {}
        self._bootstrap, self._topics, self._kept = bootstrap, topics, kept
        self._decode_action, self._decode_handling = decode_action, decode_handling
        self._outcomes = load_schemas().get(ACTION_OUTCOME)
        self._seen: set[int] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="demo-watcher", daemon=True)
        self._takes: dict[str, Callable[[Any], None]] = {
            topics.transitions: self._take_handling,
            topics.incidents: self._take_incident,
            topics.outcomes: self._take_outcome,
            topics.journal: self._take_journal,
            **dict.fromkeys(topics.actions, self._take_action),
        }

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; returns when the thread is gone. Safe to call twice, and before `start`."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout=10)

    def _run(self) -> None:
        try:
            self._read()
        except Exception as error:  # whatever it is, the main thread must hear of it
            self.failure = error

    def _read(self) -> None:
        from confluent_kafka import Consumer, TopicPartition

        consumer = Consumer(
            {
                "bootstrap.servers": self._bootstrap,
                "group.id": "demo-watcher",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                # What is gone must be noticed, not skipped: the sums would be wrong.
                "auto.offset.reset": "error",
            }
        )
        try:
            count = self._topics.partitions
            consumer.assign([TopicPartition(topic, partition, 0) for topic in self._topics.read for partition in range(count)])
            while not self._stopping.is_set():
                for message in consumer.consume(_BATCH, _POLL_S):
                    self._take(message)
        finally:
            consumer.close()

    def _take(self, message: Any) -> None:
        error = message.error()
        if error is None:
            self._takes[message.topic()](message)
        elif not error.retriable() and error.name() in ("_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"):
            raise RefusedByState(
                "the embedded broker dropped records before the demo had read them",
                where=f"{message.topic()}[{message.partition()}]",
                next_step="run the demo again on a less busy machine",
            )

    def _is_new(self, identity: bytes | None) -> bool:
        """Tell whether this is seen for the first time; 64-bit hashes are kept, which suffices for a million records."""
        found = hash(identity)
        if found in self._seen:
            return False
        self._seen.add(found)
        return True

    def _take_handling(self, message: Any) -> None:
        if not self._is_new(message.value()):
            return
        handling = self._decode_handling(message.value())
        self.tally.take_handling(handling)
        if self._kept:
            self._kept.handling(handling)

    def _take_action(self, message: Any) -> None:
        if not self._is_new(message.value()):
            return
        action = self._decode_action(message.value())
        self.tally.take_action(action)
        if self._kept:
            self._kept.action(action)

    def _take_outcome(self, message: Any) -> None:
        from io import BytesIO

        if self._outcomes is None:
            raise LookupError(f"no schema for {ACTION_OUTCOME}")
        body = BytesIO(message.value())
        body.seek(len(self._outcomes.frame))
        _, customer, _, payload = self._outcomes.decode(body)
        self.tally.take_outcome(customer, payload["action_id"], payload["status"])
        self.outcome_ends[message.partition()] = message.offset() + 1

    def _take_incident(self, message: Any) -> None:
        # The last of a name is ours: the original record's own headers come first.
        headers = dict(message.headers() or ())
        if self._is_new(headers.get(Header.INCIDENT_ID)):
            self.tally.take_incident((headers.get(Header.INCIDENT_REASON) or b"unknown").decode())

    def _take_journal(self, message: Any) -> None:
        from orchestrator.wire.journal import decode_journal

        record = decode_journal(message.value())
        self.tally.take_journal(record.partition, record.sources)
        self.pace.take(message.timestamp()[1], self.tally.handled(self._topics.events))
