"""Runs the benchmarks and prints a table or JSON; those that need it on a real Kafka (KAFKA_BOOTSTRAP, Maven or Docker)."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys

from benchmarks import cdnow, engine, replay, restore, timers, w1
from tests.brokers import KafkaUnavailable, start_kafka
from tests.brokers.kafka_process import LONG_LIVED

BENCHMARKS = {each.NAME: each for each in (engine, cdnow, restore, replay, timers, w1)}
DEFAULT = [engine.NAME, cdnow.NAME]  # the others take minutes


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which of {', '.join(BENCHMARKS)}; default {' and '.join(DEFAULT)}"
    )
    parser.add_argument("--repeats", type=int, default=3, help="how often each is run; medians are given (default 3)")
    parser.add_argument("--customers", type=int, default=timers.CUSTOMERS, help="how many wait, for timers (default 1,000,000)")
    parser.add_argument("--records", type=int, default=w1.RECORDS, help="how many events, for w1 (default 400,000)")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args()
    if unknown := set(options.names) - BENCHMARKS.keys():
        parser.error(f"no benchmark named {', '.join(sorted(unknown))}")
    names = options.names or DEFAULT
    try:
        broker = start_kafka(LONG_LIVED) if any(BENCHMARKS[name].NEEDS_BROKER for name in names) else None
    except KafkaUnavailable as error:
        print(f"bench: {error}", file=sys.stderr)
        return 3
    try:
        results = {}
        for name in names:
            print(f"{name}: {(BENCHMARKS[name].__doc__ or '').splitlines()[0]}", file=sys.stderr)
            more = {"customers": options.customers} if name == timers.NAME else {}
            more |= {"records": options.records} if name == w1.NAME else {}
            results[name] = BENCHMARKS[name].run(broker, options.repeats, lambda line: print(line, file=sys.stderr), **more)
    finally:
        if broker is not None:
            broker.remove()
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}, broker on the same machine"
    if options.json:
        print(json.dumps({"machine": machine, "results": results}, indent=2))
        return 0
    print(f"\n{machine}; medians of {options.repeats}\n")
    for name, figures in results.items():
        for figure, value in figures.items():
            print(f"  {name:8} {figure:28} {value:12,.2f}" if value < 100 else f"  {name:8} {figure:28} {value:12,.0f}")
    return 0


sys.exit(main())
