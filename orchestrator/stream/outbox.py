"""What a cycle wants to say, encoded and addressed: actions, decisions, incidents, documents, journal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection
from typing import Any, Final

from orchestrator import __version__
from orchestrator.engine.handling import Action, Handling
from orchestrator.engine.outputs import Export, Incident
from orchestrator.language.model import Topology
from orchestrator.names import Reason
from orchestrator.observe import tally, waits
from orchestrator.observe.tally import INCIDENTS
from orchestrator.observe.tracing import Span, Tracer
from orchestrator.stream.clock import WallClock
from orchestrator.stream.producing import Produce
from orchestrator.stream.spans import Spans
from orchestrator.structs import Frozen
from orchestrator.wire.actions import ActionEncoder
from orchestrator.wire.exports import FORMAT, encode_export
from orchestrator.wire.foreign import foreign
from orchestrator.wire.gate import Refusal
from orchestrator.wire.handlings import Counted, HandlingEncoder
from orchestrator.wire.incidents import incident_from_engine, incident_from_refusal, incident_from_stop, incident_timestamp
from orchestrator.wire.stops import Stop, encode_source, encode_stop

# A value of this size, with its headers, is what the producer's message.max.bytes and a topic's default take.
MAX_VALUE_BYTES: Final = 1_000_000


class _Counts(Frozen, frozen=True):
    """What metrics and traces tell of one cycle."""

    decisions: Counter[Counted]
    others: Counter[tuple[str, str]]
    since: dict[str, list[int]]
    stays: dict[tuple[str, str], list[int]]
    spans: list[Span]


class Outbox:
    """Collects a cycle's records in the order in which they came about; one a worker.

    Every output of a partition goes to the partition of the same number, so that a customer's records keep their order and
    whoever owns the partition owns all that it writes.
    """

    def __init__(self, topology: Topology, wall: WallClock, styles: Collection[str] = (), tracer: Tracer | None = None) -> None:
        """`styles` are those of foreign headers that incidents carry beside ours. `tracer` gets the spans, None for no traces."""
        streams = topology.streams
        self._tracer = tracer
        self._spans = None if tracer is None else Spans(streams.app, wall)
        self._styles = styles
        self._wall = wall
        self._app: Final = streams.app
        self._transitions: Final = streams.transitions
        self._incidents: Final = streams.incidents
        self._definitions: Final = streams.definitions
        self._exports: Final = streams.exports
        self._changelog: Final = streams.changelog
        self._journal: Final = streams.journal
        self._channels = {name: channel.topic for name, channel in topology.policy.channels.items()}
        self._actions = ActionEncoder(streams.app, is_traced=tracer is not None)
        self._handlings = HandlingEncoder()
        self._records: list[Produce] = []
        self._counts: Counter[tuple[str, str]] = Counter()  # of what is no decision: what is counted, and its reason
        self._since: defaultdict[str, list[int]] = defaultdict(list)  # the times of events that journeys decided about
        self._stays: defaultdict[tuple[str, str], list[int]] = defaultdict(list)  # in the states that instances left
        self._taken: list[_Counts] = []  # of what was taken

    def handling(self, partition: int, handling: Handling, message: Any) -> None:
        """Add what one handling decided. `message` is the record at hand; a timer that it made fire has no source.

        An action that is too large for its topic leaves `handling.actions`, and an incident joins `handling.incidents`.
        """
        if handling.decisions:
            if handling.event:
                key, value, headers = self._handlings.encode(handling, message.topic(), partition, message.offset())
                for journey in {each.journey for each in handling.decisions}:
                    self._since[journey].append(handling.at)
            else:
                key, value, headers = self._handlings.encode(handling)
            self._records.append(Produce(self._transitions, partition, key, value, headers))
        for journey, state, stay_ms in handling.stays:
            self._stays[journey, state].append(stay_ms)
        if handling.actions:
            self._act(partition, handling, message)
        if handling.export is not None:
            self._export(partition, handling, handling.export)
        if handling.incidents:
            self._report(partition, handling, message)
        for name, count in handling.counts.items() if handling.counts else ():
            self._counts[name, ""] += count
        if self._spans is not None:
            self._spans.handled(handling, message)

    def _act(self, partition: int, handling: Handling, message: Any) -> None:
        source_headers = message.headers() if handling.event else None
        for action in tuple(handling.actions):
            key, value, headers = self._actions.encode(action, source_headers)
            if value is not None and len(value) > MAX_VALUE_BYTES:
                handling.actions.remove(action)
                handling.incidents.append(_too_large(action, len(value)))
            else:
                topic = self._channels[action.channel]
                self._records.append(Produce(topic, partition, key, value, headers))
                if self._spans is not None and handling.event:
                    self._spans.acted(action, topic, headers, message)

    def _export(self, partition: int, handling: Handling, export: Export) -> None:
        value = encode_export(
            {
                "customer": handling.customer, "at": handling.at, "request_id": export.request_id or None,
                "format": FORMAT, "document": export.document,
            }
        )  # fmt: skip
        if len(value) > MAX_VALUE_BYTES:
            text = f"the export has {len(value)} bytes, more than a topic takes; `orchestrator export` gives it"
            handling.incidents.append(Incident(Reason.OUTPUT_TOO_LARGE, text))
        else:
            self._records.append(Produce(self._exports, partition, handling.customer.encode(), value))

    def _report(self, partition: int, handling: Handling, message: Any) -> None:
        for index, incident in enumerate(handling.incidents):
            key, value, headers = incident_from_engine(incident, handling, index, message, (self._app, __version__))
            if self._styles and message is not None:
                headers += foreign(headers, self._styles, message.timestamp()[0])
            self._records.append(Produce(self._incidents, partition, key, value, headers))
            self._counts[INCIDENTS, incident.reason] += 1

    def refusal(self, partition: int, message: Any, refusal: Refusal) -> None:
        """Add the incident of a record that the gate refused."""
        key, value, headers = incident_from_refusal(message, refusal, self._app, __version__)
        if self._styles:
            headers += foreign(headers, self._styles, message.timestamp()[0])
        if self._spans is not None:
            self._spans.refused(message, refusal)
        at = incident_timestamp(message, refusal, self._wall())
        self._records.append(Produce(self._incidents, partition, key, value, headers, at))
        self._counts[INCIDENTS, refusal.reason] += 1

    def document(self, partition: int, customer: bytes, stored: bytes | None) -> None:
        """Add a customer's document to the changelog; None deletes it."""
        self._records.append(Produce(self._changelog, partition, customer, stored))

    def journal(self, partition: int, value: bytes) -> None:
        """Add the partition's journal record; it comes after everything it counts."""
        self._records.append(Produce(self._journal, partition, str(partition).encode(), value))

    def stop(self, partition: int, cycle: int, place: tuple[str, int], too_many: tuple[int, int]) -> None:
        """Add that a cycle stopped its partition: for all workers, and as an alert among the incidents.

        `place` is topic and next offset, `too_many` the incidents that were exceeded and the offsets among which they lay.
        """
        stop = Stop(self._app, partition, cycle, *place, *too_many, at=self._wall())
        self._records.append(Produce(self._definitions, 0, *encode_stop(stop, "stopped")))
        self._records.append(Produce(self._incidents, partition, *incident_from_stop(stop, __version__)))

    def source(self, topic: str, identity: str) -> None:
        """Add which incarnation of a source topic is read."""
        self._records.append(Produce(self._definitions, 0, *encode_source(self._app, topic, identity)))

    def __len__(self) -> int:
        """Give how many records the cycle has to say so far."""
        return len(self._records)

    def take_records(self) -> list[Produce]:
        """Give what was collected since it was last given; what is counted of it still waits for `take`."""
        records, self._records = self._records, []
        return records

    def take(self) -> list[Produce]:
        """Give what was collected and begin anew."""
        records = self.take_records()
        spans = [] if self._spans is None else self._spans.take()
        self._taken.append(_Counts(self._handlings.take_counts(), self._counts, self._since, self._stays, spans))
        self._counts, self._since, self._stays = Counter(), defaultdict(list), defaultdict(list)
        return records

    def landed(self) -> None:
        """Count in the metrics, and tell in traces, what was taken: Kafka has it."""
        now = self._wall() if self._taken else 0
        for each in self._taken:
            each.since.pop("", None)  # what was decided of a customer and of no journey
            tally.add(each.decisions, each.others)
            waits.add(each.since, now, each.stays)
            if self._tracer is not None:
                self._tracer.emit(each.spans, now)
        self._taken.clear()

    def dropped(self) -> None:
        """Forget what was added, and count nothing of what was taken: it will be decided again."""
        self.take()
        self._taken.clear()


def _too_large(action: Action, size: int) -> Incident:
    text = f"the command has {size} bytes, more than a topic takes; it was not emitted"
    return Incident(Reason.OUTPUT_TOO_LARGE, text, action.journey, action.version, action.instance, action.step)
