"""How long a thousand scenarios take: `python -m benchmarks.scenarios [COUNT]`.

One in two stands on the shipped topologies, as scenarios beside journeys do; the others bring a journey of their own, each a
different one, so that none of them finds its topology compiled.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from orchestrator.operate.scenarios.batch import find, run_all

ROOT: Final = Path(__file__).resolve().parent.parent

OWN: Final = """\
scenario: number {n}, a login before the deadline stops the reminder
policy: {{channels: {{email: {{topic: actions.email}}}}, purposes: {{care: {{consent: not_required, basis: contract}}}}}}
journeys:
  - journey: nudge-{n}
    version: 1
    purpose: care
    entry: {{on: began, when: event.size > {n}}}
    start: waiting
    states:
      waiting:
        steps:
          - {{id: answer, hold_until: [{{on: done, go: over}}], timeout: 2d}}
          - {{id: remind, send: {{channel: email, template: nudge, data: {{size: event.size}}}}}}
          - {{id: again, hold_until: [{{on: done, go: over}}], timeout: 3d}}
          - {{id: stop, end: {{outcome: quiet}}}}
      over: {{final: true, outcome: done}}
start: 2026-01-05T00:00:00Z
given:
  - {{at: 0s, customer: a, event: began, data: {{size: {more}}}}}
  - {{at: 0s, customer: b, event: began, data: {{size: {more}}}}}
  - {{at: 1d, customer: a, event: done}}
until: 10d
expect:
  actions: [{{at: 2d, customer: b, step: remind}}]
  states: {{a: {{nudge-{n}: over}}, b: {{nudge-{n}: waiting}}}}
  decisions: [{{customer: a, kind: ended, outcome: done}}, {{customer: b, kind: ended, at: 5d}}]
"""


def write(folder: Path, count: int) -> None:
    """Write `count` scenarios that all hold."""
    shipped = find([ROOT / "topologies" / "journeys"])
    for n in range(count):
        path = folder / f"{n:05}.scenario.yaml"
        if n % 2:
            path.write_text(OWN.format(n=n, more=n + 1), encoding="utf-8")
            continue
        text = shipped[n // 2 % len(shipped)].read_text(encoding="utf-8")
        path.write_text(text.replace("topologies: ..", f"topologies: {ROOT / 'topologies'}"), encoding="utf-8")


def measured(folder: Path, processes: int | None = None) -> tuple[float, int]:
    """Give the seconds that the scenarios of a folder take, and how many do not hold."""
    started = time.perf_counter()
    failed = sum(result.status != "passed" for result in run_all(find([folder]), processes=processes))
    return time.perf_counter() - started, failed


def main(count: int) -> int:
    """Write, run, tell."""
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), count)
        seconds, failed = measured(Path(name))
    print(f"{count:,} scenarios in {seconds:.1f} s on {os.cpu_count()} cores, {failed} do not hold")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000))
