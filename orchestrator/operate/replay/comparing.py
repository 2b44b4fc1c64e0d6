"""What the shadow would write beside what the log has, record by record: added, missing, changed.

Records are the same where key, value and headers are, byte for byte. As long as they are, both sides are only passed along. From
the first difference on they are matched by what they are about: an action by its id and attempt, an incident by its id, decisions
by customer, time and source record.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from msgspec import Struct, field

from orchestrator.names import Header
from orchestrator.operate.replay.logs import Log, Topics
from orchestrator.operate.replay.shadow import Said
from orchestrator.operate.replay.window import FAR, SKEW_MS
from orchestrator.wire.actions import decode_action
from orchestrator.wire.exports import decode_export
from orchestrator.wire.foreign import own
from orchestrator.wire.handlings import decode_handling
from orchestrator.wire.incidents import is_of_breaker
from orchestrator.wire.journal import JournalRecord
from orchestrator.wire.lines import iso
from orchestrator.wire.traces import as_traced

What = Literal["decisions", "action", "incident", "export"]

# Headers of an incident that say what it is about, by the names under which a difference shows them.
_SHOWN: Final = {
    Header.INCIDENT_REASON: "reason",
    Header.ERROR_MESSAGE: "message",
    Header.INCIDENT_STAGE: "stage",
    Header.JOURNEY: "journey",
    Header.STEP: "step",
    Header.SEVERITY: "severity",
}
_DECODERS: Final[Mapping[str, Callable[[bytes], dict[str, Any]]]] = {
    "decisions": decode_handling, "action": decode_action, "export": decode_export,
}  # fmt: skip
_ORDER: Final = {"decisions": 0, "incident": 1, "export": 2, "action": 3}  # within one handling the decision says most


class Side(Struct, gc=False):
    """One record of either side while it waits for its match."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    cycle: int
    at: int
    source: tuple[str, int, str] | None = None
    is_shown: bool = True


class Difference(Struct, frozen=True, omit_defaults=True):
    """One record that is not the same. `log` and `replay` are what the two sides have, decoded; `fields` name what differs.

    added: only the replay has it; missing: only the log has it. `at` is logical time in ms UTC, `cause` the record at hand.
    """

    kind: Literal["added", "missing", "changed"]
    what: What
    customer: str
    partition: int
    cycle: int
    at: int
    cause: str
    topic: str
    fields: list[str] = []
    log: dict[str, Any] | None = None
    replay: dict[str, Any] | None = None

    @property
    def order(self) -> tuple[int, int, int]:
        """The place of a difference among those of its partition: the lowest is where things first went another way."""
        return self.cycle, self.at, _ORDER[self.what]


class Cycles(Struct):
    """When and with which offsets the cycles so far ended: tells in which cycle something in the log was written."""

    first: int = 1
    times: list[int] = field(default_factory=list)
    nexts: dict[str, list[int]] = field(default_factory=dict)
    shown: list[bool] = field(default_factory=list)  # whether the window covers it

    def add(self, record: JournalRecord, at: int, sources: tuple[str, ...], *, is_shown: bool) -> None:
        """Note a cycle."""
        if not self.times:
            self.first = record.cycle
        self.times.append(max(at, self.times[-1]) if self.times else at)
        self.shown.append(is_shown)
        for topic in sources:
            self.nexts.setdefault(topic, []).append(record.sources.get(topic, 0))

    def at_time(self, written: int) -> int:
        """Give the cycle that wrote something at this time."""
        return self.first + bisect_left(self.times, written)

    def of_offset(self, topic: str, offset: int) -> int:
        """Give the cycle that handled an offset."""
        return self.first + bisect_left(self.nexts.get(topic, []), offset + 1)

    def covers(self, cycle: int) -> bool | None:
        """Tell whether the window has it; None for a cycle that was not replayed."""
        at = cycle - self.first
        return self.shown[at] if 0 <= at < len(self.shown) else None


class Unmatched(Struct):
    """What waits for its match in one topic, by what it is about; plain data, so that it can be kept and gone on with.

    What was written before `since`, ms UTC, the log's retention has let go of.
    """

    expected: dict[str, list[Side]] = field(default_factory=dict)
    found: dict[str, list[Side]] = field(default_factory=dict)
    since: int = 0


class Comparison:
    """One output topic of one partition."""

    def __init__(self, log: Log, what: What, unmatched: Unmatched | None = None) -> None:
        self.what: What = what
        self.log = log
        self.differences: list[Difference] = []
        self.compared = 0
        self.gone = 0  # expected records from before the log's beginning
        self.unmatched = unmatched or Unmatched(since=_beginning(log))

    @property
    def is_even(self) -> bool:
        """Whether either side has so far what the other has, and nothing waits."""
        return not (self.differences or self.unmatched.expected or self.unmatched.found)

    def expect(self, said: Said, written: int, *, is_shown: bool) -> None:
        """Take what the shadow says; `written` is when the cycle was."""
        if written < self.unmatched.since:
            self.gone += is_shown
            return
        self.compared += is_shown
        message = self._next_found()
        if message is not None and _is_same(message, said):
            return
        mine = Side(said.key, said.value, said.headers, said.cycle, said.at, said.source, is_shown)
        self._match(_identity(self.what, said.key, said.value, said.headers), mine, self.unmatched.expected)
        if message is not None:
            self._found(message)

    def finish(self, cycles: Cycles) -> None:
        """Read the log to the end of the last cycle; what is still unmatched then is a difference, if the window has it."""
        end = cycles.times[-1] + SKEW_MS if cycles.times else 0
        while (message := self._next_found()) is not None:
            # What was written long after the last cycle is of a later one. An incident may have its record's time.
            if self.what != "incident" and message.timestamp()[1] > end:
                break
            self._found(message)
        for sides in self.unmatched.expected.values():
            for side in sides:
                if side.is_shown:
                    self.differences.append(self._difference("added", None, side))
        for sides in self.unmatched.found.values():
            for side in sides:
                side.cycle = self._cycle_of(side, cycles)
                if cycles.covers(side.cycle):
                    self.compared += 1
                    self.differences.append(self._difference("missing", side, None))

    def _next_found(self) -> Any:
        while (message := self.log.pop()) is not None:
            # The alert that a partition was stopped is the worker's own: it follows from its limits, not from records.
            if self.what != "incident" or not is_of_breaker(message.headers() or []):
                return message
        return None

    def _found(self, message: Any) -> None:
        headers = own(message.headers() or []) if self.what == "incident" else message.headers() or []
        side = Side(message.key(), message.value(), headers, 0, message.timestamp()[1])
        self._match(_identity(self.what, message.key(), message.value(), headers), side, self.unmatched.found)

    def _match(self, identity: str, side: Side, own: dict[str, list[Side]]) -> None:
        others = self.unmatched.found if own is self.unmatched.expected else self.unmatched.expected
        waiting = others.get(identity)
        if not waiting:
            own.setdefault(identity, []).append(side)
            return
        other = waiting.pop(0)
        if not waiting:
            del others[identity]
        log, replay = (other, side) if own is self.unmatched.expected else (side, other)
        is_same = log.value == replay.value and (log.headers == replay.headers or _is_traced(log.headers, replay.headers))
        if not is_same and replay.is_shown:
            self.differences.append(self._difference("changed", log, replay))

    def _cycle_of(self, side: Side, cycles: Cycles) -> int:
        """The cycle that wrote what the log has. A refused record's incident has the record's time: there the offset tells."""
        told = dict(side.headers)
        offset, topic = told.get(Header.ERROR_OFFSET), told.get(Header.ERROR_TOPIC)
        if self.what == "incident" and offset and topic:
            return cycles.of_offset(topic.decode(), int(offset))
        return cycles.at_time(side.at)

    def _difference(self, kind: Literal["added", "missing", "changed"], log: Side | None, replay: Side | None) -> Difference:
        shown = [None if side is None else _shown(self.what, side) for side in (log, replay)]
        known = shown[1] or shown[0] or {}
        side = replay or log
        assert side is not None
        return Difference(
            kind,
            self.what,
            (side.key or b"").decode(errors="replace"),
            self.log.partition,
            side.cycle,
            known.get("at") or known.get("created_at") or side.at,
            _cause(self.log.partition, side, known),
            self.log.topic,
            _fields(shown[0], shown[1]) if shown[0] is not None and shown[1] is not None else [],
            shown[0],
            shown[1],
        )


def _beginning(log: Log) -> int:
    """Give when the first record of a log was written, 0 for one that has lost nothing; one that lost all begins never.

    One that is not read from its beginning has lost nothing of what is compared.
    """
    if log.low == 0 or log.next > log.low:
        return 0
    first = log.peek()
    return FAR if first is None else int(first.timestamp()[1])


def comparisons(logs: Mapping[str, Log], topics: Topics, unmatched: Mapping[str, Unmatched]) -> dict[str, Comparison]:
    """Give one for each output topic."""
    kinds: dict[str, What] = {
        topics.transitions: "decisions", topics.incidents: "incident", topics.exports: "export",
    }  # fmt: skip
    return {topic: Comparison(log, kinds.get(topic, "action"), unmatched.get(topic)) for topic, log in logs.items()}


def _is_same(message: Any, said: Said) -> bool:
    is_value = message.value() == said.value and message.key() == said.key
    if not is_value:
        return False
    headers = message.headers() or []
    # A worker that writes foreign headers besides adds them to the same; they follow from its settings, not from records.
    if headers == said.headers or (len(headers) > len(said.headers) and own(headers) == said.headers):
        return True
    return _is_traced(headers, said.headers)


def _is_traced(log: list[tuple[str, bytes | None]], replay: list[tuple[str, bytes | None]]) -> bool:
    """Whether headers differ only because the worker exported spans, which is a matter of its settings, too."""
    return log == as_traced(replay)


def _identity(what: What, key: bytes | None, value: bytes | None, headers: list[tuple[str, bytes | None]]) -> str:
    told = dict(headers)
    if what == "incident":
        return (told.get(Header.INCIDENT_ID) or b"").decode()
    if what == "action":
        return (told.get(Header.CE_ID) or b"").decode()
    if what == "export":
        return _of_export(key, value)
    try:
        found = decode_handling(value or b"")
    except ValueError:
        return f"{key!r} undecodable"
    source = found["source"] or {}
    return f"{found['customer']} {found['at']} {source.get('topic', '')} {source.get('offset', '')}"


def _of_export(key: bytes | None, value: bytes | None) -> str:
    try:
        found = decode_export(value or b"")
    except ValueError:
        return f"{key!r} undecodable"
    return f"{found['customer']} {found['at']} {found['request_id']}"


def _shown(what: What, side: Side) -> dict[str, Any]:
    if what == "incident":
        told = dict(side.headers)
        return {name: (told[header] or b"").decode(errors="replace") for header, name in _SHOWN.items() if header in told}
    try:
        found = _DECODERS[what](side.value or b"")
    except ValueError as error:
        return {"undecodable": str(error)}
    if what == "decisions":
        found["decisions"] = [{name: v for name, v in each.items() if v not in (None, "", {})} for each in found["decisions"]]
    return {name: each for name, each in found.items() if each not in (None, "", {}, [])}


def _cause(partition: int, side: Side, known: Mapping[str, Any]) -> str:
    if side.source is not None:
        topic, offset, event = side.source
    elif known.get("source"):
        topic, offset, event = known["source"]["topic"], known["source"]["offset"], known.get("event", "")
    elif "at" in known:
        return f"a timer due at {iso(known['at'])}"
    else:
        return ""
    return f"{topic}/{partition}/{offset} {event}".rstrip()


def _fields(log: Mapping[str, Any], replay: Mapping[str, Any]) -> list[str]:
    """Name what differs: fields, and of decisions the number from 1 and their fields."""
    found: list[str] = []
    for name in sorted(log.keys() | replay.keys()):
        mine, theirs = replay.get(name), log.get(name)
        if mine == theirs:
            continue
        if name != "decisions" or not isinstance(mine, list) or not isinstance(theirs, list):
            found.append(name)
            continue
        for number in range(max(len(mine), len(theirs))):
            one = theirs[number] if number < len(theirs) else {}
            other = mine[number] if number < len(mine) else {}
            names = sorted(one.keys() | other.keys())
            found += [f"decision {number + 1} {each}" for each in names if one.get(each) != other.get(each)]
    return found or ["headers"]


def by_customer(differences: list[Difference]) -> dict[tuple[int, str], list[Difference]]:
    """Group differences by partition and customer, each group with its first cause first, groups in order of theirs."""
    grouped: dict[tuple[int, str], list[Difference]] = defaultdict(list)
    for each in sorted(differences, key=lambda each: (each.partition, each.order)):
        grouped[each.partition, each.customer].append(each)
    return dict(grouped)
