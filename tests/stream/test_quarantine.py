"""Trials of suspect records in real processes: which records a trial dies of, and that dying near one is not enough."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from confluent_kafka import Message
from confluent_kafka.schema_registry import Schema

from orchestrator.names import Header, Reason
from orchestrator.operate.contract.subjects import schema_text
from orchestrator.stream.attempts import DEATHS, Attempts
from orchestrator.stream.blocks import Block
from orchestrator.stream.quarantine import Quarantine
from orchestrator.stream.registry import Registry
from orchestrator.stream.trial import Brief, schemas_of
from orchestrator.wire import framing
from orchestrator.wire.gate import DEFAULT_LIMITS
from orchestrator.wire.incidents import deadly_record
from tests.stream.bench import EVENTS, NUMBER, SCHEMAS, START, STREAMS, TOPICS, TOPOLOGY, Bench, block, purchase, to

# A decoder with a bug, as in a C library, put there by the test: nothing in the product dies of a record on purpose.
SICK = """
import os, signal
from pathlib import Path
from orchestrator.wire import schemas

decode = schemas.EventType.decode

def sick(self, body):
    found = decode(self, body)
    if found[0].startswith("segfault"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if found[0].startswith("memory"):
        hoard = [bytearray(100 << 20) for _ in range(30)]
    if found[0].startswith("once") and not (mark := Path(os.environ["ONCE"])).exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return found

schemas.EventType.decode = sick
schemas.EventType.skim = lambda self, wanted: None
"""


@pytest.fixture
def sick_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sick"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SICK)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
    monkeypatch.setenv("ONCE", str(tmp_path / "once"))


def suspecting(
    folder: Path, first: int, after: int, is_stopped: Callable[[], bool] = lambda: False, registry: Registry | None = None
) -> Quarantine:
    """What a worker has after three deaths at these records."""
    for _ in range(DEATHS):
        Attempts(folder).begin(EVENTS, NUMBER, first, after)
    brief = Brief(TOPOLOGY, schemas_of(SCHEMAS), DEFAULT_LIMITS, TOPICS)
    return Quarantine(Attempts(folder), brief, is_stopped, registry)


def test_b1_a_record_that_trials_die_of_is_refused_and_all_others_are_handled(
    bench: Bench, tmp_path: Path, sick_decoder: None
) -> None:
    quarantine = suspecting(tmp_path, 0, 5)
    ids = ["e0", "segfault", "once", "memory", "e4"]
    suspects = block(*(purchase(f"c{n}", START, n, event_id) for n, event_id in enumerate(ids)))
    assert quarantine.awaits(suspects)
    quarantine.examine(suspects, bench.partition)
    assert quarantine.deadly == {(EVENTS, NUMBER, 1), (EVENTS, NUMBER, 3)}, "one death was somebody else's doing"
    assert not quarantine.awaits(suspects)
    assert not bench.partition.has_work, "a trial leaves nothing behind"

    bench.deadly |= quarantine.deadly
    bench.partition.handle(suspects, bench.outbox)
    produced = bench.commit()
    incidents = to(produced, STREAMS.incidents)
    assert [deadly_record(incident.headers) for incident in incidents] == [(EVENTS, NUMBER, 1), (EVENTS, NUMBER, 3)]
    assert [incident.value for incident in incidents] == [suspects[1].value(), suspects[3].value()]
    assert {record.key for record in to(produced, STREAMS.changelog)} == {b"c0", b"c2", b"c4"}


def test_b1_a_trial_decodes_what_a_registry_describes(bench: Bench, tmp_path: Path, sick_decoder: None) -> None:
    """Without the writer's schema a trial would refuse what the worker decodes, and live where the worker dies."""

    class Client:
        def get_schema(self, number: int) -> Schema:
            event = SCHEMAS.get("purchase.made")
            assert event is not None
            text = json.loads(schema_text(event))
            text["fields"].append({"name": "till", "type": "int", "default": 0})
            return Schema(json.dumps(text), "AVRO")

    registry = Registry(Client(), SCHEMAS)
    registry.fetch({("id", (7).to_bytes(4, "big"))})
    suspects = Block(EVENTS, NUMBER, 0)
    for offset, event_id in enumerate(["e0", "segfault", "e2"]):
        plain = purchase(f"c{offset}", START, offset, event_id)
        value = framing.confluent(7) + plain.value()[framing.SINGLE_OBJECT_LENGTH :] + b"\x02"
        suspects.append(
            Message(topic=EVENTS, partition=NUMBER, offset=offset, key=plain.key(), value=value, timestamp=plain.timestamp())
        )
    quarantine = suspecting(tmp_path, 0, 3, registry=registry)
    quarantine.examine(suspects, bench.partition)
    assert quarantine.deadly == {(EVENTS, NUMBER, 1)}


def test_a5_a_trial_sees_the_documents_that_the_worker_has(bench: Bench, tmp_path: Path) -> None:
    """Committed ones and those of the running cycle: what a record does depends on them."""
    bench.partition.handle(block(purchase("c1", START, 0)), bench.outbox)
    bench.commit()
    bench.partition.handle(block(purchase("c2", START, 1)), bench.outbox)
    assert [stored is not None for stored in bench.partition.documents([b"c1", b"c2", b"c3"])] == [True, True, False]
    quarantine = suspecting(tmp_path, 2, 4)
    quarantine.examine(block(purchase("c1", START, 2), purchase("c2", START, 3)), bench.partition)
    assert quarantine.deadly == set()


def test_a_record_that_calls_itself_deadly_is_not_believed() -> None:
    told: list[tuple[str, bytes | None]] = [(Header.INCIDENT_REASON, Reason.CRASHED_WORKER.encode())]
    assert deadly_record([*told, (Header.INCIDENT_REASON, Reason.NOT_AVRO.encode())]) is None
