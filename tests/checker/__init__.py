"""The checker: proves from what Kafka and the stores hold that everything happened exactly once. It imports nothing of
`orchestrator.stream`: it knows the topics' contents, the pure engine, and the journal's word for what was read in which order.

    report = check(bootstrap, topology_dir, state_dirs=[...])
    assert not report.differences, report
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from orchestrator.wire.gate import DEFAULT_LIMITS, GateLimits
from tests.checker.evidence import Topics, gather
from tests.checker.judging import OVER, Demands, judge
from tests.checker.live import LiveReader, Seen, check_seen
from tests.checker.programs import load_programs, published_programs
from tests.checker.report import Report
from tests.checker.second import check_again
from tests.checker.stores import check_left_behind, check_store, read_stores

__all__ = ["OVER", "Demands", "LiveReader", "Report", "check"]

# transaction.timeout (15 s), the broker's look for timed-out ones (10 s), a static member's session (10 s)
SETTLE_S: Final = 45.0


def check(
    bootstrap: str,
    topology_dir: Path,
    *,
    schemas: Path | None = None,
    state_dirs: Sequence[Path] = (),
    earlier: Sequence[Path] = (),
    live: Sequence[LiveReader | Seen] = (),
    demands: Demands = OVER,
    client: Mapping[str, Any] | None = None,
    limits: GateLimits = DEFAULT_LIMITS,
    second_client: bool = False,
) -> Report:
    """Check the run of one app on a real Kafka whose journal and changelog were never compacted. Blocks.

    `state_dirs` are those of workers that have stopped, `earlier` copies of the topology folder as it was before, `live` what
    readers saw meanwhile, `client` librdkafka settings, `limits` the gate's. `second_client` reads the outputs once more with
    kafka-python. Raises for what cannot be read (KafkaException, TimeoutError, InvalidTopology), never for a difference.
    """
    programs = load_programs(topology_dir, earlier, schemas, limits)
    topology, report = programs.topology, Report()
    topics = Topics.of(topology)
    config = {"bootstrap.servers": bootstrap, **(client or {})}
    programs.by_name.update(published_programs(config, topology_dir, schemas, limits))
    evidence = gather(config, topics, topology.streams.partitions, topology.streams.app, SETTLE_S if demands.is_over else 0.0)
    judged = judge(evidence, programs, report, demands)
    for state_dir in state_dirs:
        if demands.is_over:
            check_left_behind(state_dir, report)
        for store in read_stores(state_dir, report):
            number = store.position.partition
            check_store(store, judged[number].cycles, evidence.of(topics.changelog, number), report)
    for seen in live:
        check_seen(seen.seen() if isinstance(seen, LiveReader) else seen, evidence, report)
    if second_client:
        check_again(bootstrap, topics.outputs, evidence, report)
    return report
