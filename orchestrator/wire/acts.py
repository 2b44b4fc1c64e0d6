"""What operators did with incidents, on the audit topic: one record an act, keyed by the incident's id."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Final, Literal

import fastavro
import msgspec

from orchestrator.wire.ours import decode_ours, our_schema

REDRIVEN: Final = "redriven"
DISCARDED: Final = "discarded"
_SCHEMA: Final = "IncidentAct"


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


def encode_act(act: IncidentAct) -> tuple[bytes, bytes]:
    """Give key and value of the audit record."""
    schema = our_schema(_SCHEMA)
    out = io.BytesIO()
    out.write(schema.prefix)
    fastavro.schemaless_writer(out, schema.parsed, msgspec.to_builtins(act))
    return act.incident_id.encode(), out.getvalue()


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
