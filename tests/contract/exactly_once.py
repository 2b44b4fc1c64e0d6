"""The promise, demanded of a stage whose workers have stopped: the checker finds nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.checker import OVER, Demands, LiveReader, Report, check
from tests.contract.stage import Stage


def assert_exactly_once(
    stage: Stage,
    readers: Sequence[LiveReader] = (),
    *,
    demands: Demands = OVER,
    earlier: Sequence[Path] = (),
    second_client: bool = False,
) -> Report | None:
    """Check all topics and the stores of all workers, killed ones too. The embedded broker knows no transactions: None there."""
    if stage.broker.kind != "kafka":
        return None
    report = check(
        stage.broker.bootstrap,
        stage.topologies,
        state_dirs=sorted(stage.folder.glob("state-*")),
        earlier=earlier,
        live=readers,
        demands=demands,
        second_client=second_client,
    )
    print(report)
    assert not report.differences, report
    assert report.counts["source records"] == stage.handled_records()
    return report
