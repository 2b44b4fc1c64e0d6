"""Runs the benchmarks and prints a Markdown table or JSON; those that need it on a real Kafka (KAFKA_BOOTSTRAP, Maven or Docker).

python -m benchmarks --list       names and what each is
python -m benchmarks engine w1    these
python -m benchmarks all          all, about half an hour
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

import msgspec

from benchmarks import cdnow, engine, fold, replay, restore, timers, w1
from benchmarks.machine import ended, machine, markdown
from tests.brokers import KafkaUnavailable, start_kafka
from tests.brokers.kafka_process import LONG_LIVED

BENCHMARKS: dict[str, Any] = {each.NAME: each for each in (engine, fold, cdnow, restore, replay, timers, w1)}
DEFAULT = [engine.NAME, cdnow.NAME]  # the others take minutes
ALL = "all"
CORES = min(os.cpu_count() or 1, w1.PARTITIONS)  # as its users would run it on this machine
TOGETHER = {"group.initial.rebalance.delay.ms": "3000"}  # Kafka's own; else the first process begins alone, with all partitions


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHMARKS)}, or {ALL}; default {' and '.join(DEFAULT)}"
    )
    parser.add_argument("--list", action="store_true", help="say what there is, and run nothing")
    parser.add_argument("--repeats", type=int, default=3, help="how often each is run; medians are given (default 3)")
    parser.add_argument("--customers", type=int, default=timers.CUSTOMERS, help="how many wait, for timers (default 1,000,000)")
    parser.add_argument("--records", type=int, default=w1.RECORDS, help="how many events, for w1 (default 400,000)")
    parser.add_argument("--only", default="", metavar="NAMES", help="contestants of w1 beside ours, by comma (default all)")
    parser.add_argument(
        "--processes", type=int, default=CORES, metavar="N", help=f"a worker as N processes, in cdnow and w1 (default {CORES})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args()
    if options.list:
        for name, each in BENCHMARKS.items():
            print(f"{name:8} {told(each)}")
        return 0
    if unknown := set(options.names) - BENCHMARKS.keys() - {ALL}:
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    contestants = {each.NAME for each in w1.CONTESTANTS}
    if unknown := set(filter(None, options.only.split(","))) - contestants:
        parser.error(f"no contestant named {', '.join(sorted(unknown))}; there are {', '.join(sorted(contestants))}")
    return run(list(BENCHMARKS) if ALL in options.names else options.names or DEFAULT, options)


def told(benchmark: Any) -> str:
    """Say in a line what it is."""
    return str((benchmark.__doc__ or "").splitlines()[0])


def run(names: list[str], options: argparse.Namespace) -> int:
    """Run them one after another on one broker, and print what they found."""
    facts = machine()
    more: dict[str, dict[str, Any]] = {
        timers.NAME: {"customers": options.customers},
        cdnow.NAME: {"processes": options.processes},
        w1.NAME: {
            "records": options.records,
            "only": [each for each in options.only.split(",") if each],
            "processes": options.processes,
        },
    }
    try:
        needs_broker = any(BENCHMARKS[name].NEEDS_BROKER for name in names)
        broker = start_kafka(LONG_LIVED, TOGETHER if options.processes > 1 else None) if needs_broker else None
    except KafkaUnavailable as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    results = {}
    try:
        for name in names:
            print(f"{name}: {told(BENCHMARKS[name])}", file=sys.stderr)
            say = lambda line: print(line, file=sys.stderr)  # noqa: E731
            results[name] = BENCHMARKS[name].run(broker, options.repeats, say, **more.get(name, {}))
    finally:
        if broker is not None:
            broker.remove()
    facts = ended(facts)
    if options.json:
        print(json.dumps({"machine": msgspec.to_builtins(facts), "repeats": options.repeats, "results": results}, indent=2))
    else:
        print(f"\n{markdown(facts, options.repeats, results)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
