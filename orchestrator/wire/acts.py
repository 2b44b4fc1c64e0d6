"""What operators did, on the audit topic, one record an act.

Acts on incidents are keyed by the incident's id, others by whom or what they are about.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Final, Literal

import fastavro
import msgspec

from orchestrator.structs import resolved
from orchestrator.wire.ours import decode_ours, our_schema

REDRIVEN: Final = "redriven"
DISCARDED: Final = "discarded"
REVEALED: Final = "revealed"
REBUILT: Final = "rebuilt"
_SCHEMA: Final = "IncidentAct"
_OTHERS: Final = "OperatorAct"


@resolved
class IncidentAct(msgspec.Struct, frozen=True):
    """Fields as in IncidentAct.avsc."""

    app: str
    act: Literal["redriven", "discarded"]
    incident_id: str
    incident_reason: str
    topic: str
    partition: int
    offset: int
    attempt: int
    at: int
    by: str
    reason: str


@resolved
class OperatorAct(msgspec.Struct, frozen=True):
    """Fields as in OperatorAct.avsc."""

    app: str
    act: Literal["revealed", "rebuilt"]
    subject: str
    at: int
    by: str
    reason: str
    detail: dict[str, str] = {}


def encode_act(act: IncidentAct) -> tuple[bytes, bytes]:
    """Give key and value of the audit record."""
    return act.incident_id.encode(), _encoded(_SCHEMA, act)


def encode_operator_act(act: OperatorAct) -> tuple[bytes, bytes]:
    """Give key and value of the audit record."""
    return act.subject.encode(), _encoded(_OTHERS, act)


def decode_operator_act(value: bytes) -> OperatorAct:
    """Read what `encode_operator_act` gave. Raises ValueError for anything else."""
    return msgspec.convert(decode_ours(_OTHERS, value), OperatorAct)


def _encoded(name: str, act: msgspec.Struct) -> bytes:
    schema = our_schema(name)
    out = io.BytesIO()
    out.write(schema.prefix)
    fastavro.schemaless_writer(out, schema.parsed, msgspec.to_builtins(act))
    return out.getvalue()


def read_acts(values: Iterable[bytes | None], app: str) -> dict[str, IncidentAct]:
    """Give the last act on each incident of an app; what is no such record is left to others."""
    found: dict[str, IncidentAct] = {}
    for value in values:
        try:
            act = msgspec.convert(decode_ours(_SCHEMA, value or b""), IncidentAct)
        except ValueError:
            continue
        if act.app == app:
            found[act.incident_id] = act
    return found
