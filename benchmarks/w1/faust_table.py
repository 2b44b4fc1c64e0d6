"""Faust: the job as an agent on a table in RocksDB, at least once or exactly once; as its users write it, on its own transport.

It takes one record in twenty of the others: it is slow.
"""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import fastavro
import orjson

from benchmarks.w1 import raw_loop
from benchmarks.w1.contestant import Job, Process, python
from benchmarks.w1.oracle import HEARD, MOVES, REMEMBERED, Sent
from benchmarks.w1.workload import PARTITIONS, schemas

_FRAME = 10  # bytes of a single object before its body


class FaustTable:
    """The contestant, with one of Faust's two guarantees."""

    ONE_IN = 20

    def __init__(self, name: str, guarantee: str) -> None:
        self.NAME, self._guarantee = name, guarantee

    def prepare(self) -> None:
        """It is among what the project depends on."""

    def start(self, job: Job) -> Process:
        """Make its topic and start it; the changelog it makes itself."""
        job.make_actions_topic()
        return python(__name__, job, self._guarantee)

    def actions(self, job: Job) -> list[Sent]:
        """Read what it sent, the raw loop's JSON."""
        return raw_loop.actions(job)


at_least_once = FaustTable("faust", "at_least_once")
exactly_once = FaustTable("faust_eos", "exactly_once")


def application(told: dict[str, str], guarantee: str) -> Any:
    """Give the app with its one agent."""
    import faust

    app = faust.App(
        told["name"],
        broker=f"aiokafka://{told['bootstrap']}",
        store="rocksdb://",
        datadir=str(Path(told["folder"]) / "state"),
        processing_guarantee=guarantee,
        broker_commit_interval=0.1,
        consumer_auto_offset_reset="earliest",
        producer_linger=0.005,
        topic_disable_leader=True,
        web_enabled=False,
    )
    source = app.topic(told["topic"], key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    target = app.topic(f"{told['name']}.actions", key_serializer="raw", value_serializer="raw")
    customers = app.Table("customers", partitions=PARTITIONS, key_type=bytes)
    known = {each.frame: (each.type, each.writer) for each in schemas().versions() if each.type in HEARD}

    @app.agent(source)
    async def moves(stream: Any) -> None:
        async for event in stream.events():
            value, key = event.value, event.key
            if value[:_FRAME] not in known:
                continue
            kind, schema = known[value[:_FRAME]]
            read: Any = fastavro.schemaless_reader(io.BytesIO(value[_FRAME:]), schema, None)
            state, changes, ids = customers.get(key) or ("", 0, [])
            if read["event_id"] in ids:
                continue
            ids = [*ids[1 - REMEMBERED :], read["event_id"]]
            move = MOVES.get((kind, state))
            if move is not None:
                state, changes = move[0], changes + 1
                at = round(event.message.timestamp * 1000)
                sent = {"customer": key.decode(), "template": move[1], "changes": changes, "at": at}
                await target.send(key=key, value=orjson.dumps(sent))
            customers[key] = [state, changes, ids]

    return app


if __name__ == "__main__":
    import faust

    faust.Worker(application(json.loads(sys.argv[1]), sys.argv[2]), loglevel="WARNING").execute_from_commandline()
