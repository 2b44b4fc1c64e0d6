"""Sending records again that had become incidents: planned, then done in transactions with their audit records.

A record and the record of the act are committed together, so an incident that was redriven is known as such whatever happened to
the process: who comes next reads the audit topic after the transaction before has ended, and goes on with what is left. One
transactional id an app, so that of two redrives at once the later ends the earlier.
"""

from __future__ import annotations

import getpass
import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import RefusedByState, TopicMismatch, Unreachable
from orchestrator.language.model import Streams
from orchestrator.operate import documents
from orchestrator.operate.incidents import finding
from orchestrator.operate.incidents.finding import Found
from orchestrator.operate.incidents.incident import HeaderList, Incident, marked
from orchestrator.wire.acts import DISCARDED, REDRIVEN, IncidentAct, encode_act

MAX_ATTEMPTS: Final = 3
_TRANSACTION: Final = 500  # records; what a kill leaves undone is at most so many
_LARGEST: Final = 32 << 20
_AROUND: Final = 1_024  # what the protocol and the markers add to a record
_TIMEOUT_S: Final = 30.0


class Original(Struct, frozen=True):
    """A record as it is sent again."""

    key: bytes | None
    value: bytes | None
    headers: HeaderList


class Planned(Struct, frozen=True):
    """One incident and what is to become of it: `refused` says why it cannot be sent again, "" where it can."""

    incident: Incident
    attempt: int = 0
    refused: str = ""


class Choice(Struct, frozen=True):
    """How to redrive. `original_time` keeps the record's timestamp (rule B3), else it is the time of the redrive."""

    reason: str = ""
    original_time: bool = False
    max_attempts: int = MAX_ATTEMPTS


def plan(found: Iterable[Found], choice: Choice, known: Mapping[str, IncidentAct]) -> list[Planned]:
    """Give what would be sent again, in the order of the original records, and what would not, with the reason.

    An incident that was redriven or discarded before is left out. `known` are all acts so far: a record says itself whose
    redrive it is, but only the audit topic is believed.
    """
    waiting = [each.incident for each in found if each.act is None]
    waiting.sort(key=lambda each: (each.source, each.partition, each.offset))
    return [_planned(incident, choice, known) for incident in waiting]


def _planned(incident: Incident, choice: Choice, known: Mapping[str, IncidentAct]) -> Planned:
    if not incident.is_of_a_record:
        return Planned(incident, refused="it is of no record: an alert, a timer or a stopped partition; discard it")
    before = known.get(incident.redrive_of)
    attempt = 1 + (before.attempt if before is not None and before.act == REDRIVEN else 0)
    if attempt > choice.max_attempts:
        return Planned(incident, attempt, f"it was redriven {attempt - 1} times; see why, or raise --max-attempts")
    return Planned(incident, attempt)


class Worker:
    """The one who acts on incidents of an app: its transactional producer. Blocks."""

    def __init__(self, conf: Mapping[str, Any], streams: Streams, by: str = "") -> None:
        """Open it, which ends what an earlier one left. Raises Unreachable."""
        self._conf = conf
        self._streams = streams
        self._by = by or getpass.getuser()
        own = {"transactional.id": f"{streams.app}-incidents", "compression.type": "lz4"}
        # What was too large for a worker may be taken by the topic that it came from all the same.
        self._producer = kafka.producer({"message.max.bytes": _LARGEST, **conf, **own})
        self._largest = int(conf.get("message.max.bytes", _LARGEST)) - _AROUND
        self._do(lambda: self._producer.init_transactions(_TIMEOUT_S))

    def redrive(
        self, planned: Sequence[Planned], choice: Choice, progress: Callable[[int], None] = lambda done: None
    ) -> list[Planned]:
        """Send again what can be, and give it all with what became of it: `refused` says why a record was not sent.

        Each incident that has meanwhile been acted on is left out. Raises Unreachable, RefusedByState; what was committed before
        stays, and calling it again does the rest.
        """
        known = finding.acts(self._conf, self._streams)
        left = [each for each in planned if each.incident.id not in known]
        done: list[Planned] = []
        for start in range(0, len(left), _TRANSACTION):
            done += self._transaction(left[start : start + _TRANSACTION], choice)
            progress(len(done))
        return done

    def _transaction(self, part: Sequence[Planned], choice: Choice) -> list[Planned]:
        done, records = [], []
        for each in part:
            found = _original(self._conf, each.incident) if not each.refused else each.refused
            if isinstance(found, Original) and _size(found) > self._largest:
                found = f"with {_size(found)} bytes it is too large to be sent; raise kafka.message.max.bytes"
            if isinstance(found, str):
                done.append(Planned(each.incident, each.attempt, found))
            else:
                records += self._records(each, found, choice)
                done.append(each)
        self._commit(records)
        return done

    def _records(self, each: Planned, original: Original, choice: Choice) -> list[dict[str, Any]]:
        incident = each.incident
        at = {"timestamp": incident.time} if choice.original_time else {}
        again = {
            "topic": incident.source, "partition": incident.partition, "key": original.key, "value": original.value,
            "headers": marked(original.headers, incident.id, each.attempt), **at,
        }  # fmt: skip
        return [again, self._act(REDRIVEN, incident, choice.reason, each.attempt)]

    def discard(self, incidents: Sequence[Incident], reason: str) -> list[Incident]:
        """Note that nothing more is to be done about these; give those that were not acted on before. Raises as `redrive`."""
        known = finding.acts(self._conf, self._streams)
        left = [each for each in incidents if each.id not in known]
        for start in range(0, len(left), _TRANSACTION):
            self._commit([self._act(DISCARDED, each, reason, 0) for each in left[start : start + _TRANSACTION]])
        return left

    def _act(self, act: Any, incident: Incident, reason: str, attempt: int) -> dict[str, Any]:
        key, value = encode_act(
            IncidentAct(
                self._streams.app, act, incident.id, incident.reason, incident.source, incident.partition, incident.offset,
                attempt, time.time_ns() // 1_000_000, self._by, reason,
            )
        )  # fmt: skip
        return {"topic": self._streams.audit, "partition": 0, "key": key, "value": value}

    def _commit(self, records: Sequence[dict[str, Any]]) -> None:
        if not records:
            return
        self._do(self._producer.begin_transaction)
        try:
            for record in records:
                self._do(partial(self._producer.produce, **record))
                self._producer.poll(0)
            self._do(lambda: self._producer.commit_transaction(_TIMEOUT_S))
        except BaseException:
            self._abort()
            raise

    def _abort(self) -> None:
        """End the transaction; where even that fails, the next one to open does it."""
        try:
            self._producer.abort_transaction(_TIMEOUT_S)
        except KafkaException:
            return

    def _do(self, call: Callable[[], object]) -> None:
        try:
            call()
        except KafkaException as error:
            why = error.args[0]
            if why.code() in (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH):
                raise RefusedByState(
                    "another process has begun to act on incidents of this app", next_step="let it end, then do the rest"
                ) from None
            raise Unreachable(
                f"Kafka did not take it: {why.str()}",
                next_step="check the cluster, and that this principal may Write the topics and the transactional id; do it again",
            ) from None


def _size(original: Original) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in original.headers)
    return len(original.key or b"") + len(original.value or b"") + headers


def _original(conf: Mapping[str, Any], incident: Incident) -> Original | str:
    """Give the record to send: the incident's own, or where that was cut the one at its source; else why there is none.

    Raises Unreachable where the source cannot be asked.
    """
    if not incident.truncated:
        return Original(incident.key, incident.value, incident.headers)
    message = _at_source(conf, incident)
    if message is None:
        return "its copy was cut, and its source has it no more"
    if hashlib.sha256(message.value() or b"").hexdigest() != incident.sha256:
        return "its copy was cut, and another record stands at its source now"
    return Original(message.key(), message.value(), list(message.headers() or []))


def _at_source(conf: Mapping[str, Any], incident: Incident) -> Any:
    """Give the message that stands where the incident's record stood, None where none does any more.

    Raises Unreachable where Kafka does not tell: that says nothing of the record.
    """
    place = incident.partition
    try:
        low, high = documents.ranges(conf, incident.source, [place])[place]
    except TopicMismatch:
        return None
    if not low <= incident.offset < high:
        return None
    return next(documents.read(conf, incident.source, {place: (incident.offset, incident.offset + 1)}), None)
