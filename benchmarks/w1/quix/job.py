"""W1's job on Quix Streams, in an environment of its own: it imports nothing of this project.

Arguments: the broker's address, the topic, the job's name, a folder for state, the folder of schemas.
"""

import io
import sys
from pathlib import Path
from typing import Any

import fastavro
import fastavro.schema
import orjson
from quixstreams import Application, State

MOVES = {
    ("signup.created", ""): ("not_activated", "welcome"),
    ("auth.login", "not_activated"): ("activated", "activated"),
    ("payment.failed", "activated"): ("payment_pending", "dunning"),
    ("payment.failed", "paid"): ("payment_pending", "dunning"),
    ("payment.succeeded", "payment_pending"): ("paid", "receipt"),
}
HEARD = {kind for kind, _ in MOVES}
REMEMBERED = 16
FRAME = 10  # bytes of an Avro single object before its body
PRODUCER = {"linger.ms": 5, "batch.size": 1 << 18, "compression.type": "lz4"}


def main(bootstrap: str, topic: str, name: str, folder: str, schemas: str) -> None:
    app = Application(
        broker_address=bootstrap, consumer_group=name, processing_guarantee="exactly-once", commit_interval=0.1,
        auto_offset_reset="earliest", state_dir=folder, producer_extra_config=PRODUCER, loglevel="WARNING",
    )  # fmt: skip
    readers = readers_of(Path(schemas))
    events = app.topic(topic, key_deserializer="bytes", value_deserializer="bytes")
    actions = app.topic(f"{name}.actions", key_serializer="bytes", value_serializer="bytes")
    stream = app.dataframe(events)
    stream = stream.filter(lambda value: value[:FRAME] in readers)
    stream = stream.apply(lambda value: decoded(value, readers))
    stream = stream.apply(moved, stateful=True, metadata=True)
    stream = stream.filter(lambda action: action is not None)
    stream.to_topic(actions)
    app.run()


def readers_of(folder: Path) -> dict[bytes, tuple[str, Any]]:
    """Give type and schema of what the job hears, by the first bytes of an event's value."""
    found = {}
    for path in folder.rglob("*.avsc"):
        schema = orjson.loads(path.read_bytes())
        if schema["event_type"] in HEARD:
            form = fastavro.schema.to_parsing_canonical_form(schema)
            frame = b"\xc3\x01" + bytes.fromhex(fastavro.schema.fingerprint(form, "CRC-64-AVRO"))
            found[frame] = (schema["event_type"], fastavro.parse_schema(schema))
    return found


def decoded(value: bytes, readers: dict[bytes, tuple[str, Any]]) -> dict[str, Any]:
    kind, schema = readers[value[:FRAME]]
    event: Any = fastavro.schemaless_reader(io.BytesIO(value[FRAME:]), schema, None)
    return {"type": kind, "id": event["event_id"]}


def moved(event: dict[str, Any], key: bytes, timestamp: int, _headers: object, state: State) -> bytes | None:
    """Drop a repeated id, follow the customer, give the action if there is one."""
    customer: Any = state.get("customer") or {"state": "", "changes": 0, "ids": []}
    if event["id"] in customer["ids"]:
        return None
    customer["ids"] = [*customer["ids"][1 - REMEMBERED :], event["id"]]
    move = MOVES.get((event["type"], customer["state"]))
    if move is not None:
        customer["state"], customer["changes"] = move[0], customer["changes"] + 1
    state.set("customer", customer)
    if move is None:
        return None
    return orjson.dumps({"customer": key.decode(), "template": move[1], "changes": customer["changes"], "at": timestamp})


if __name__ == "__main__":
    main(*sys.argv[1:])
