"""A second opinion on what readers see: kafka-python, which shares no line with librdkafka, must give the same lists."""

from __future__ import annotations

from collections.abc import Sequence

from tests.brokers import Row, read_to_end_otherwise
from tests.checker.evidence import Evidence
from tests.checker.report import Report


def check_again(bootstrap: str, topics: Sequence[str], evidence: Evidence, report: Report) -> None:
    """Read topics once more, and demand the same records in the same order. Blocks; about 10,000 records a second."""
    for topic in topics:
        rows = read_to_end_otherwise(bootstrap, topic)
        report.counts["records read twice"] += len(rows)
        same_rows(topic, rows, evidence, report)


def same_rows(topic: str, rows: Sequence[Row], evidence: Evidence, report: Report) -> None:
    """Hold one topic as the second client read it against the evidence."""
    for (name, number), log in evidence.logs.items():
        if name != topic:
            continue
        theirs = [row for row in rows if row.partition == number]
        for index, (message, row) in enumerate(zip(log.records, theirs, strict=False)):
            ours = (message.offset(), message.key(), message.value(), tuple(message.headers() or ()))
            if ours != (row.offset, row.key, row.value, row.headers):
                report.differ(
                    f"{topic}/{number}/{message.offset()}", f"a second client has another record {index}, at {row.offset}"
                )
                break
        if len(theirs) != len(log.records):
            what = f"a second client has {len(theirs)} records, the first {len(log.records)}"
            report.differ(f"{topic}/{number}", what)
