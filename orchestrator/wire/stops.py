"""Stopped partitions on the wire: two keys a partition on the definitions topic, one for its last stop, one for its last release.

Beside them, a key for each source topic: Kafka's id of the topic, which is another one when the topic was made anew. And a key
for each partition whose documents were rebuilt from its events: when, by which a store knows that it is of before.

A partition stands still where its last stop is of a later cycle than its last release. Two keys, so that compaction keeps both,
and a release that was meant for an earlier stop cannot undo a later one.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Final, Literal

import fastavro
import msgspec

from orchestrator.structs import resolved
from orchestrator.wire.ours import decode_ours, our_schema

Kind = Literal["stopped", "released"]
_SCHEMA: Final = "PartitionStop"


@resolved
class Stop(msgspec.Struct, frozen=True):
    """Why and where a partition stands still. Fields as in PartitionStop.avsc."""

    app: str
    partition: int
    cycle: int
    topic: str
    offset: int
    incidents: int
    window: int
    at: int


def encode_source(app: str, topic: str, identity: str) -> tuple[bytes, bytes]:
    """Give key and value of a record that says which incarnation of a source topic an app has read of."""
    return f"source/{app}/{topic}".encode(), identity.encode()


def encode_stop(stop: Stop, kind: Kind) -> tuple[bytes, bytes]:
    """Give key and value of a record that stops a partition, or releases it from this stop."""
    schema = our_schema(_SCHEMA)
    out = io.BytesIO()
    out.write(schema.prefix)
    fastavro.schemaless_writer(out, schema.parsed, msgspec.to_builtins(stop))
    return f"partition/{stop.app}/{stop.partition}/{kind}".encode(), out.getvalue()


def encode_rebuilt(app: str, partition: int, at: int) -> tuple[bytes, bytes]:
    """Give key and value of a record that says when a partition's documents were last rebuilt, ms UTC."""
    return f"rebuilt/{app}/{partition}".encode(), str(at).encode()


class StopBoard:
    """Which partitions of an app stand still, `sources`, the ids of its source topics by name, when partitions were `rebuilt`.

    All from the records of the definitions topic, in their order.
    """

    def __init__(self, app: str) -> None:
        self.sources: dict[str, str] = {}
        self.rebuilt: dict[int, int] = {}
        self._app = app
        self._last: dict[tuple[int, str], Stop] = {}

    def read(self, records: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        """Take in (key, value) pairs; those that are not about partitions of this app are left to others."""
        for key, value in records:
            parts = (key or b"").decode(errors="replace").split("/")
            if len(parts) == 4 and parts[0] == "partition" and parts[1] == self._app and value is not None:
                stop = msgspec.convert(decode_ours(_SCHEMA, value), Stop)
                self._last[stop.partition, parts[3]] = stop
            elif len(parts) == 3 and parts[0] == "source" and parts[1] == self._app and value is not None:
                self.sources[parts[2]] = value.decode(errors="replace")
            elif len(parts) == 3 and parts[0] == "rebuilt" and parts[1] == self._app and value is not None:
                self.rebuilt[int(parts[2])] = int(value)

    def stopped(self) -> dict[int, Stop]:
        """Give the stop of each partition that stands still."""
        found = {}
        for (partition, kind), stop in self._last.items():
            released = self._last.get((partition, "released"))
            if kind == "stopped" and (released is None or released.cycle < stop.cycle):
                found[partition] = stop
        return found
