"""Records that end the process: found after three deaths, tried apart, dead-lettered in the cycle's own transaction.

No product code can be told to die of a record. What makes the marked ones deadly here is a `sitecustomize` of the test's own,
which Python imports before anything else: it wraps the decoder, as a bug in a C library would sit in it.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from orchestrator.names import Header, Reason
from orchestrator.stream.attempts import DEATHS
from orchestrator.wire.incidents import deadly_record
from tests.brokers import fill
from tests.contract.cdnow import assert_journal_is_one_chain
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage
from tests.wire.messages import SCHEMAS

DEADLY_DECODER = """
import os, signal
from orchestrator.wire import schemas

decode = schemas.EventType.decode

def deadly(self, body):
    found = decode(self, body)
    event_id = found[0]
    if event_id.startswith("segfault"):
        os.kill(os.getpid(), signal.SIGSEGV)
    if event_id.startswith("memory"):
        hoard = [bytearray(100 << 20) for _ in range(30)]
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does where memory is short
    return found

schemas.EventType.decode = deadly
schemas.EventType.skim = lambda self, wanted: None
"""
AT = 1_767_571_200_000


def purchase(customer: str, event_id: str) -> bytes:
    schema = SCHEMAS.get("purchase.made")
    assert schema is not None
    return schema.encode(customer, event_id, AT, {"quantity": 1, "price": 9.5})


def produce(stage: Stage, deadly: Mapping[int, str], count: int) -> list[bytes]:
    """One partition's records, the n-th of customer c<n>; `deadly` names the event ids of some by their offset."""
    values = [purchase(f"c{n}", deadly.get(n, f"e{n}")) for n in range(count)]
    records = [{"key": f"c{n}".encode(), "value": value, "timestamp": AT + n} for n, value in enumerate(values)]
    fill(stage.broker.bootstrap, stage.events, records)
    return values


def supervise(stage: Stage, records: int, timeout_s: float = 150) -> list[int]:
    """Start the worker again whenever it ends, as Kubernetes would, until all is handled; give the exit codes."""
    deaths: list[int] = []
    worker = stage.worker()
    deadline = time.monotonic() + timeout_s
    while stage.handled_records() < records:
        assert time.monotonic() < deadline, f"deaths {deaths}\n{worker.tail()}"
        if worker.exit_code is not None:
            deaths.append(worker.exit_code)
            worker = stage.worker()
        time.sleep(0.2)
    assert worker.stop() == 0, worker.tail()
    return deaths


@pytest.fixture
def deadly_decoder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "deadly"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(DEADLY_DECODER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))


def test_b1_i3_records_that_kill_the_process_are_found_after_three_deaths(
    stage_on_kafka: MakeStage, deadly_decoder: None
) -> None:
    stage = stage_on_kafka(partitions=1)
    deadly = {7: "segfault-1", 30: "memory-1", 31: "segfault-2"}
    values = produce(stage, deadly, 60)
    deaths = supervise(stage, 60)

    assert deaths == [-signal.SIGSEGV] * DEATHS, "the worker itself dies no more once they are suspected"
    incidents = stage.incidents()
    assert [deadly_record(row.headers) for row in incidents] == [(stage.events, 0, offset) for offset in deadly]
    for row, offset in zip(incidents, deadly, strict=True):
        told = dict(row.headers)
        assert (row.key, row.value, row.timestamp) == (f"c{offset}".encode(), values[offset], AT + offset)
        assert told[Header.INCIDENT_REASON] == Reason.CRASHED_WORKER.encode()
        assert told[Header.INCIDENT_STAGE] == b"quarantine"
    assert_journal_is_one_chain(stage)
    entered = [h["customer"] for h in stage.handlings() if any(d["kind"] == "entered" for d in h["decisions"])]
    assert entered == [f"c{n}" for n in range(60) if n not in deadly]
    assert set(stage.changelog_documents()) == {f"c{n}".encode() for n in range(60) if n not in deadly}
    assert stage.stored_documents("w0") == stage.changelog_documents()
    assert (stage.state_of("w0") / "deaths.json").read_text() == "[]", "no suspicion is left"
