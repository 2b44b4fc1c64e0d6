"""Whether a channel service keeps its half of the bargain: commands played to it on topics of its own, its reports judged.

Each case is a few commands and what may be reported of them. The cases are the duties of docs/channels.md, each with the mistake
that it finds; no case needs a second process or a clock of its own.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaException, TopicPartition
from msgspec import Struct

from orchestrator import kafka
from orchestrator.engine.handling import Action
from orchestrator.engine.record import Record
from orchestrator.errors import Unreachable
from orchestrator.language.model import EventTopic, Place, Streams
from orchestrator.names import ACTION_OUTCOME
from orchestrator.operate import documents
from orchestrator.wire.actions import ActionEncoder
from orchestrator.wire.gate import Gate, Refusal
from orchestrator.wire.partitioning import partition_for

_HOUR_MS: Final = 3_600_000
_SETTLE_S: Final = 3.0  # how long after the last report that was waited for one too many may still come
_TIMEOUT_S: Final = 30.0
_DONE: Final = frozenset({"delivered", "succeeded"})


class Report(Struct, frozen=True):
    """One outcome that the service reported."""

    action_id: str
    event_id: str
    status: str


class Case(Struct, frozen=True):
    """What is played, and what may come of it. `judge` gets the reports of these commands and gives what is wrong, "" if nothing.

    `answers` is how many reports are waited for. `is_aborted`: the commands stand in a transaction that is aborted.
    """

    name: str
    duty: str
    commands: tuple[Action, ...]
    judge: Callable[[Sequence[Report]], str]
    answers: int = 1
    is_aborted: bool = False


class Verdict(Struct, frozen=True):
    """A case and what was wrong, "" if nothing."""

    name: str
    duty: str
    fault: str


def cases(channel: str, now: int) -> list[Case]:
    """Give the cases, their commands as of `now`, ms UTC; ids are new each time."""
    plain, twice, again, lost = (_command(channel, now, name) for name in ("plain", "twice", "again", "lost"))
    late = _changed(_command(channel, now, "late"), expires_at=now - 1)
    huge = _changed(_command(channel, now, "huge"), data={"text": "ä" * 100_000, "none": None, "list": [1, 2]})
    cancel = _changed(_command(channel, now, "cancel"), kind="cancel", template="")
    odd = _changed(_command(channel, now, "odd"), template="no-such-template")
    return [
        Case("a command", "is reported, once, by an event id of its own", (plain,), _once),
        Case("a command that comes twice", "is carried out and reported once", (twice, twice), _once),
        Case("a second attempt", "is another try, with a report of its own", (again, _changed(again, attempt=2)), _twice, 2),
        Case("an expired command", "is not carried out", (late,), _not_done, 0),
        Case("a cancel", "is not taken for a send", (cancel,), _not_done, 0),
        Case("a template that nobody knows", "is reported, and stops nothing", (odd,), _some),
        Case("200 KB of data, nulls and lists", "stop nothing", (huge,), _some),
        Case("an aborted transaction", "is never read: read_committed", (lost,), _nothing, 0, is_aborted=True),
    ]


def _command(channel: str, now: int, name: str) -> Action:
    return Action(
        "send", str(uuid.uuid4()), f"check-{name}", "channel-check", 1, str(uuid.uuid4()), "check", channel, now, now + _HOUR_MS,
        purpose="service", template="check", data={"name": name},
    )  # fmt: skip


def _changed(command: Action, **changes: Any) -> Action:
    return Action(**command.fields() | changes)


def _once(reports: Sequence[Report]) -> str:
    found = {each.event_id for each in reports}
    if not found:
        return "no report came"
    return "" if len(found) == 1 else f"{len(found)} reports with different event ids: it was carried out more than once"


def _twice(reports: Sequence[Report]) -> str:
    found = {each.event_id for each in reports}
    return "" if len(found) == 2 else f"{len(found)} different reports for two attempts"


def _some(reports: Sequence[Report]) -> str:
    return "" if reports else "no report came"


def _not_done(reports: Sequence[Report]) -> str:
    done = sorted({each.status for each in reports} & _DONE)
    return f"it was reported as {', '.join(done)}" if done else ""


def _nothing(reports: Sequence[Report]) -> str:
    return "it was read and reported: the service reads what was never committed" if reports else ""


class Play(Struct, frozen=True):
    """Where the cases are played: topics that serve nothing else, with `partitions` each."""

    conf: Mapping[str, Any]
    actions: str
    outcomes: str
    partitions: int
    timeout_s: float = 60.0


def play(where: Play, played: Sequence[Case], gate: Gate) -> list[Verdict]:
    """Play the cases and judge what the service reports; the last verdict is of the reports themselves.

    Blocks; raises Unreachable.
    """
    ears = _Ears(where, gate)
    _send(where, played)
    ears.listen(sum(case.answers for case in played))
    verdicts = []
    for case in played:
        ids = {command.action_id for command in case.commands}
        found = [report for each in ids for report in ears.reports.get(each, ())]
        verdicts.append(Verdict(case.name, case.duty, case.judge(found)))
    return [*verdicts, Verdict("every report", "is an action.outcome, keyed and partitioned by its customer", ears.fault)]


def _send(where: Play, played: Sequence[Case]) -> None:
    """Send the commands; the aborted ones in the midst, so that whoever reads them is still reading."""
    kept = [case for case in played if not case.is_aborted]
    half = len(kept) // 2
    parts = [(kept[:half], False), ([case for case in played if case.is_aborted], True), (kept[half:], False)]
    encoder = ActionEncoder("channel-check")
    producer = kafka.producer({**where.conf, "transactional.id": f"channel-check-{uuid.uuid4()}"})
    try:
        producer.init_transactions(_TIMEOUT_S)
        for part, is_aborted in parts:
            producer.begin_transaction()
            for command in (command for case in part for command in case.commands):
                key, value, headers = encoder.encode(command)
                producer.produce(where.actions, value, key, partition_for(key, where.partitions), headers=list(headers))
            producer.flush(_TIMEOUT_S)
            (producer.abort_transaction if is_aborted else producer.commit_transaction)(_TIMEOUT_S)
    except KafkaException as error:
        raise Unreachable(f"the commands could not be played: {error.args[0].str()}", where=where.actions) from None


class _Ears:
    """Hears the reports, from when it is made on, and holds each to what every event must be."""

    def __init__(self, where: Play, gate: Gate) -> None:
        self.reports: dict[str, list[Report]] = defaultdict(list)
        self.fault = ""
        self._where = where
        self._gate = gate
        bounds = documents.ranges(where.conf, where.outcomes, range(where.partitions))
        self._starts = [TopicPartition(where.outcomes, number, high) for number, (_, high) in bounds.items()]
        self._heard = self._wanted = 0
        self._until = 0.0

    def listen(self, wanted: int) -> None:
        """Listen until so many commands are reported on and nothing more has come for a while, or the time is over."""
        self._until = time.monotonic() + self._where.timeout_s
        self._wanted = wanted
        for message in kafka.read_partitions(
            self._where.conf, self._starts, follow=True, stop=lambda: time.monotonic() > self._until
        ):
            self._hear(message)

    def _hear(self, message: Any) -> None:
        found = self._gate.admit(message, now_ms())
        if isinstance(found, Refusal):
            self.fault = self.fault or f"{found.reason}: {found.message}"
            return
        if not isinstance(found, Record):
            return
        if partition_for(found.customer.encode(), self._where.partitions) != message.partition():
            self.fault = self.fault or "it is not in its customer's partition: set partitioner=murmur2_random"
        if not found.event_id:
            self.fault = self.fault or "it has no event_id: a report that is sent twice would count twice"
        report = Report(str(found.payload["action_id"]), found.event_id, str(found.payload["status"]))
        self.reports[report.action_id].append(report)
        self._heard += 1
        if self._heard >= self._wanted:
            self._until = min(self._until, time.monotonic() + _SETTLE_S)


def streams_of(where: Play) -> Streams:
    """Give the wiring by which a gate takes the reports of a play."""
    return Streams(events=(EventTopic(where.outcomes, Place("", 1, 1), (ACTION_OUTCOME,)),), outcomes=where.outcomes)


def now_ms() -> int:
    """Give the wall clock in ms UTC."""
    return time.time_ns() // 1_000_000
