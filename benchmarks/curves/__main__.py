"""Measures, keeps and draws curves."""

from __future__ import annotations

import argparse
import sys

from benchmarks.curves import live, offline
from benchmarks.curves.curve import Curve, draw, keep, kept
from benchmarks.machine import ended, machine
from tests.brokers import KafkaUnavailable, start_kafka
from tests.brokers.kafka_process import LONG_LIVED

CURVES = {**offline.CURVES, **live.CURVES}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curves", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of {', '.join(CURVES)}, or all; none to list them")
    parser.add_argument("--repeats", type=int, default=3, help="of each point of a curve of real workers (default 3)")
    parser.add_argument("--draw", action="store_true", help="only draw what is kept in benchmarks/results")
    options = parser.parse_args()
    if unknown := set(options.names) - CURVES.keys() - {"all"}:
        parser.error(f"no curve named {', '.join(sorted(unknown))}; there are {', '.join(CURVES)}")
    if options.draw:
        for curve in filter(lambda each: each.is_drawn, kept()):
            print(draw(curve))
    elif not options.names:
        for name, each in CURVES.items():
            print(f"{name:10} {(each.__doc__ or '').splitlines()[0]}")
    try:
        for name in CURVES if "all" in options.names else options.names:
            facts = machine()
            curve = measured(name, options.repeats)
            curve.machine = ended(facts)
            keep(curve)
            print(told(curve, f"{curve.name}: {draw(curve) if curve.is_drawn else 'not drawn'}"))
    except KafkaUnavailable as error:
        print(f"curves: {error}", file=sys.stderr)
        return 3
    return 0


def measured(name: str, repeats: int) -> Curve:
    """Measure one, with a Kafka of its own if it needs one."""
    if name in offline.CURVES:
        return offline.run(name)
    broker = start_kafka(LONG_LIVED)
    try:
        return live.CURVES[name](broker, repeats)
    finally:
        broker.remove()


def told(curve: Curve, head: str) -> str:
    """Give its figures as text."""
    lines = [head]
    for series, values in curve.series.items():
        lines.append(f"  {series}: " + ", ".join(f"{x:,.10g}: {y:,.2f}" for x, y in zip(curve.x, values, strict=True)))
    return "\n".join(lines + [f"  {pair}: {value:.2f}" for pair, value in curve.ratios.items()])


if __name__ == "__main__":
    sys.exit(main())
