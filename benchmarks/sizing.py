"""How much of everything for so many customers: docs/sizing.md, computed from what benchmarks gave.

python -m benchmarks.sizing              prints the table
python -m benchmarks.sizing --write      renews it in docs/sizing.md
"""

from __future__ import annotations

import argparse
import math
import re
from pathlib import Path
from typing import Final

from msgspec import Struct

PAGE: Final = Path(__file__).parents[1] / "docs/sizing.md"
SECTION: Final = re.compile(r"<!-- computed: sizing -->.*?<!-- end -->", re.DOTALL)
CUSTOMERS: Final = (1_000_000, 10_000_000, 100_000_000)
_DAY_S: Final = 86_400
_GB: Final = 1e9


class Measured(Struct, frozen=True):
    """Figures of docs/reliability.md and README.md, on two slow and shared cores: a machine of one's own gives better ones."""

    document_bytes: int = 533  # the shipped journeys' own
    events_a_second: int = 4_250  # one worker, `make demo`
    restored_a_second: int = 14_200  # documents, one worker: the median of `benchmarks restore`


class Assumed(Struct, frozen=True):
    """What only whoever runs it knows; change it here."""

    events_a_day: float = 5  # of a customer
    peak: float = 5  # the busiest second against the average
    headroom: float = 2  # workers twice as fast as the peak catch up after a pause
    store_growth: float = 2.5  # of a store against its documents: calendar, compaction, old blocks
    changelog_growth: float = 3  # of the changelog against the documents: what compaction has not reached
    copies: int = 3
    memory_bytes: int = 400_000_000  # a worker's own, and the 228 MB that a restore was seen to add


class Size(Struct, frozen=True):
    """What so many customers take."""

    customers: int
    peak_events: float
    workers: int
    partitions: int
    disk_gb: float
    memory_gb: float
    changelog_gb: float
    restore_minutes: float


def size(customers: int, measured: Measured, assumed: Assumed) -> Size:
    """Compute one row."""
    peak = customers * assumed.events_a_day / _DAY_S * assumed.peak
    workers = max(2, math.ceil(peak * assumed.headroom / measured.events_a_second))
    # Twice the workers, so that there may be more of them: the number is fixed for the life of an app.
    partitions = max(4, 2 ** math.ceil(math.log2(workers * 2)))
    documents = customers * measured.document_bytes
    # With one worker gone, the others have its share too.
    share = customers / max(1, workers - 1)
    return Size(
        customers=customers,
        peak_events=peak,
        workers=workers,
        partitions=partitions,
        disk_gb=share * measured.document_bytes * assumed.store_growth / _GB,
        memory_gb=2.5 * assumed.memory_bytes / _GB,
        changelog_gb=documents * assumed.changelog_growth * assumed.copies / _GB,
        restore_minutes=share / measured.restored_a_second / 60,
    )


def table() -> str:
    """Give the table of docs/sizing.md."""
    measured, assumed = Measured(), Assumed()
    heads = (
        "customers", "events a second, peak", "workers", "partitions", "disk a worker", "memory a worker",
        "changelog in Kafka", "restore of a lost volume",
    )  # fmt: skip
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for customers in CUSTOMERS:
        each = size(customers, measured, assumed)
        rows.append(
            f"| {each.customers:,} | {each.peak_events:,.0f} | {each.workers} | {each.partitions} | {each.disk_gb:,.0f} GB"
            f" | {each.memory_gb:.1f} GB | {each.changelog_gb:,.0f} GB | {each.restore_minutes:,.0f} min |"
        )
    return "\n".join(rows)


def renewed(text: str) -> str:
    """Give the page with its table as it is computed now."""
    return SECTION.sub(lambda _: f"<!-- computed: sizing -->\n{table()}\n<!-- end -->", text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizing", description=__doc__)
    parser.add_argument("--write", action="store_true", help="renew docs/sizing.md")
    if parser.parse_args().write:
        PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    else:
        print(table())
