"""A partition whose worker is started again with a newer version live and the old file under earlier/ (rule V1)."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.wire.actions import decode_action
from orchestrator.wire.handlings import decode_handling
from orchestrator.workspace import Workspace
from tests.stream.bench import DAY, SHIPPED, START, STREAMS, Bench, block, purchase, to

WINBACK = (SHIPPED / "journeys" / "winback.yaml").read_text()


def _raised(text: str) -> str:
    assert "version: 1\n" in text
    return text.replace("version: 1\n", "version: 2\n").replace("template: miss-you", "template: come-back")


def _work(tmp_path: Path, *records: tuple[str, int], until: int, first_offset: int) -> tuple[list, list]:
    """Let a worker with the folder of now handle purchases and fire what is due; give the versions that entered, and sends."""
    bench = Bench(tmp_path / "state", Workspace.load(tmp_path / "topologies").topology)
    bench.partition.handle(block(*(purchase(name, at, first_offset + n) for n, (name, at) in enumerate(records))), bench.outbox)
    said = bench.commit()
    bench.now = until
    bench.caught_up()
    bench.partition.fire(500, bench.outbox)
    said += bench.commit()
    bench.close()
    handlings = [decode_handling(record.value or b"") for record in to(said, STREAMS.transitions)]
    entered = [(h["customer"], d["version"]) for h in handlings for d in h["decisions"] if d["kind"] == "entered"]
    actions = [decode_action(record.value or b"") for record in to(said, "journeys.actions.email")]
    return entered, [(a["customer"], a["version"], a["template"], a["created_at"] - START) for a in actions]


def test_v1_t6_an_instance_goes_on_as_it_began_after_a_restart_with_a_newer_version(tmp_path: Path) -> None:
    # v1 from day 0, due on day 60; restart on day 1 with v2; v2 from day 2, due on day 62
    shutil.copytree(SHIPPED, tmp_path / "topologies")
    entered, sent = _work(tmp_path, ("ann", START), until=START + DAY, first_offset=0)
    assert (entered, sent) == ([("ann", 1)], [])

    live, kept = tmp_path / "topologies" / "journeys" / "winback.yaml", tmp_path / "topologies" / "earlier" / "winback.yaml"
    kept.parent.mkdir()
    live.rename(kept)
    live.write_text(_raised(WINBACK))
    entered, sent = _work(tmp_path, ("bob", START + 2 * DAY), until=START + 63 * DAY, first_offset=1)
    assert entered == [("bob", 2)]
    assert sent == [("ann", 1, "miss-you", 60 * DAY), ("bob", 2, "come-back", 62 * DAY)]
