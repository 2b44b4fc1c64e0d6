"""Real workers under random faults: `python -m tests.faults --seed 7 --rounds 200 --faults kill`.

The seed is printed, and the same seed gives the same schedule of faults and the same records. Exit status 0: no difference;
1: a difference, or a worker that ended or hung without a cause; 2: the call is wrong; 3: there is no Kafka.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.brokers import Broker, KafkaBroker, KafkaUnavailable, start_kafka
from tests.faults.line import Line, cluster_behind_proxies, kafka_behind_a_proxy
from tests.faults.run import Verdict, run_stretch
from tests.faults.schedule import Fault, Kind, schedule

CHECK_EVERY: Final = 20


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, help="default: a new one, which is printed")
    parser.add_argument("--rounds", type=int, default=20, help="faults to inject, one a round [20]")
    parser.add_argument("--faults", default="kill,stop,rebalance,failpoints", help=f"of {', '.join(Kind)}")
    parser.add_argument("--workers", type=int, default=3, help="worker processes [3]")
    parser.add_argument("--check-every", type=int, default=CHECK_EVERY, help="rounds until a check, then new topics [20]")
    parser.add_argument("--plan", action="store_true", help="print the schedule and do nothing")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there too")
    found = parser.parse_args(words)
    try:
        found.faults = [Kind(word.strip()) for word in found.faults.split(",")]
    except ValueError as error:
        parser.error(f"{error}; known are {', '.join(Kind)}")
    if {Kind.BROKER, Kind.CLUSTER} <= {*found.faults}:
        parser.error("broker is of one broker, cluster of three: ask for one of the two")
    if min(found.rounds, found.workers, found.check_every) < 1:
        parser.error("--rounds, --workers and --check-every are 1 or more")
    if found.seed is None:
        found.seed = random.randrange(1_000_000)
    return found


def _command(asked: argparse.Namespace) -> str:
    return (
        f"python -m tests.faults --seed {asked.seed} --rounds {asked.rounds} --faults {','.join(asked.faults)}"
        f" --workers {asked.workers} --check-every {asked.check_every}"
    )


def _say(line: str) -> None:
    print(line, flush=True)


def main(words: Sequence[str]) -> int:
    """Run what the command line asks for, and give the exit status."""
    asked = _arguments(words)
    faults = list(enumerate(schedule(asked.seed, asked.rounds, asked.faults, asked.workers), 1))
    if asked.plan:
        for number, fault in faults:
            _say(f"round {number:>3}  after {fault.wait_s:5.2f} s  {fault.told()}")
        return 0
    _say(f"seed {asked.seed}; again: {_command(asked)}")
    folder = Path(tempfile.mkdtemp(prefix="faults-"))
    try:
        with _brokers(asked.faults) as kafka_at:
            if Kind.BROKER in asked.faults and not isinstance(getattr(kafka_at, "broker", kafka_at), KafkaBroker):
                print("error: a broker that this run did not start is not broken; unset KAFKA_BOOTSTRAP", file=sys.stderr)
                return 2
            verdicts = _run(asked, kafka_at, folder, faults)
    except KafkaUnavailable as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        shutil.rmtree(folder)
        raise
    return _conclude(asked, faults, verdicts, folder)


@contextmanager
def _brokers(kinds: Sequence[Kind]) -> Iterator[Broker | Line]:
    """Start what the kinds need: three brokers, one behind a proxy, or any one."""
    if Kind.CLUSTER in kinds or Kind.NETWORK in kinds:
        with cluster_behind_proxies() if Kind.CLUSTER in kinds else kafka_behind_a_proxy() as line:
            yield line
        return
    broker = start_kafka()
    try:
        yield broker
    finally:
        broker.remove()


def _run(asked: argparse.Namespace, kafka_at: Broker | Line, folder: Path, faults: list[tuple[int, Fault]]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    for start in range(0, len(faults), asked.check_every):
        part = folder / f"rounds-{start + 1}"
        part.mkdir()
        verdict = run_stretch(kafka_at, part, asked.seed + start, asked.workers, faults[start : start + asked.check_every], _say)
        verdicts.append(verdict)
        _say(f"checked    {verdict.summary}; idle {verdict.settled_s:.1f} s after the last fault")
        if verdict.differences:
            break
        shutil.rmtree(part)
    return verdicts


def _conclude(asked: argparse.Namespace, faults: list[tuple[int, Fault]], verdicts: list[Verdict], folder: Path) -> int:
    """Say what was injected and what held."""
    differences = [line for verdict in verdicts for line in verdict.differences]
    done = faults[: sum(verdict.rounds for verdict in verdicts)]
    injected = Counter(f"{fault.kind} {fault.how}" for _, fault in done)
    total: Counter[str] = Counter()
    for verdict in verdicts:
        total.update(verdict.counts)
        total.update({f"workers ended and started again: {why}": count for why, count in verdict.ends.items()})
        total.update({"failpoints that nobody came by": verdict.missed})
    result: dict[str, Any] = {
        "seed": asked.seed,
        "command": _command(asked),
        "rounds": len(done),
        "minutes": round(sum(verdict.seconds for verdict in verdicts) / 60, 1),
        "injected": dict(injected),
        "source_records": sum(verdict.sent for verdict in verdicts),
        "longest_settling_s": round(max((verdict.settled_s for verdict in verdicts), default=0.0), 1),
        "counts": {name: count for name, count in total.items() if count},
        "differences": differences,
    }
    _table(result)
    if asked.json:
        asked.json.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    if differences:
        _say(f"FAILED with seed {asked.seed}; again: {_command(asked)}\nthe workers' logs and stores: {folder}")
        return 1
    shutil.rmtree(folder)
    return 0


def _table(result: dict[str, Any]) -> None:
    _say("")
    rows = [("rounds", result["rounds"]), ("minutes", result["minutes"]), ("source records", result["source_records"])]
    rows += [(f"  {what}", count) for what, count in sorted(result["injected"].items())]
    rows += [("longest settling, s", result["longest_settling_s"]), *result["counts"].items()]
    rows += [("differences", len(result["differences"]))]
    for name, count in rows:
        _say(f"{name:<48} {count:>12,}")
    for line in result["differences"]:
        _say(line)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    began = time.monotonic()
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        _say(f"interrupted after {time.monotonic() - began:.0f} s; no process is left")
        sys.exit(130)
