"""Noting on the audit topic that somebody reads personal data in the clear, before they do: what cannot be noted is not shown."""

from __future__ import annotations

import getpass
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import TopicMismatch, Unreachable
from orchestrator.language.model import Streams
from orchestrator.wire.acts import REVEALED, OperatorAct, encode_operator_act

TIMEOUT_S: Final = 15.0


class Reading(Struct, frozen=True):
    """Who reads what about whom. `subject` is a customer's id, or names an incident; `by` is who is logged in where it is ""."""

    subject: str
    command: str
    reason: str = ""
    by: str = ""


def note_reveal(conf: Mapping[str, Any], streams: Streams, *readings: Reading, timeout_s: float = TIMEOUT_S) -> None:
    """Write all of it down. Blocks until brokers have it; raises Unreachable, NotAllowed, TopicMismatch where it cannot be."""
    if not readings:
        return
    if streams.audit not in kafka.partition_counts(kafka.reach(conf, timeout_s)):  # else the broker may make it
        raise TopicMismatch("no such topic", where=streams.audit, next_step="orchestrator topics create --execute")
    client = kafka.producer({**conf, "enable.idempotence": True, "delivery.timeout.ms": int(timeout_s * 1000)})
    refused: list[KafkaError] = []
    at = time.time_ns() // 1_000_000
    try:
        for key, value in _records(streams.app, readings, at):
            client.produce(streams.audit, value, key, 0, on_delivery=lambda error, _: refused.extend([error] if error else []))
        left = client.flush(timeout_s + 1)
    except (KafkaException, BufferError) as error:
        refused += [error.args[0]] if isinstance(error, KafkaException) else []
        left = 1
    if refused and refused[0].code() in kafka.NOT_ALLOWED:
        raise kafka.not_allowed(refused[0], streams.audit)
    if refused or left:
        raise Unreachable(
            f"it could not be noted who reads this, so it is not shown: {refused[0].str() if refused else 'no answer'}",
            where=streams.audit,
            next_step="check the cluster, and that this principal may Write the topic; without --reveal nothing needs noting",
        )


def _records(app: str, readings: Sequence[Reading], at: int) -> list[tuple[bytes, bytes]]:
    acts = [
        OperatorAct(app, REVEALED, each.subject, at, each.by or getpass.getuser(), each.reason, {"command": each.command})
        for each in readings
    ]
    return [encode_operator_act(act) for act in acts]
