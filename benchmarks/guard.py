"""The guard of the fold's speed: its CPU on W1's events against the raw loop's, held against a recorded ratio.

python -m benchmarks.guard            measures and tells, exit 1 on a loss of more than 25 %
python -m benchmarks.guard --write    records what is measured as the baseline, benchmarks/baseline.json

A ratio of two pieces of work that take turns on the same records differs little from machine to machine and from hour to hour.
They take turns cycle by cycle, and of each cycle the best of some rounds counts, since other work on the machine can only make it
dearer. The ratio does differ between versions of Python, and where the fold is compiled, so that each has a baseline.
Instructions would be steadier still, but virtual machines seldom count them.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from time import process_time
from typing import Final

import msgspec
from confluent_kafka import Message

from benchmarks import fold
from benchmarks.machine import engine
from benchmarks.w1.workload import HERE, SCHEMAS
from orchestrator.language.model import Topology
from orchestrator.workspace import Workspace

BASELINE: Final = Path(__file__).with_name("baseline.json")
LOSS: Final = 1.25  # times the recorded ratio
GAIN: Final = 0.9  # below it the baseline is worth renewing: a later loss would hide in what was gained

_RECORDS = 20_000
_ROUNDS = 5
_BLOCK = 500  # records of a partition in a cycle: short, so that whatever else runs hits both alike
_RENEW = "python -m benchmarks.guard --write"


class Measured(msgspec.Struct, frozen=True):
    """The best of some rounds, in microseconds of CPU an event."""

    fold_us: float
    raw_loop_us: float

    @property
    def ratio(self) -> float:
        """How many times the raw loop's CPU the fold takes."""
        return self.fold_us / self.raw_loop_us


def measure(records: int = _RECORDS, rounds: int = _ROUNDS) -> Measured:
    """Let the two take turns, cycle by cycle; of each cycle its best round counts."""
    topology, messages = Workspace.load(HERE / "topologies", SCHEMAS).topology, fold.messages_of(records)
    ours, raws = zip(*(_round(topology, messages) for _ in range(rounds)), strict=True)
    return Measured(_best(ours) / records * 1e6, _best(raws) / records * 1e6)


def _best(rounds: Iterable[list[float]]) -> float:
    return sum(map(min, zip(*rounds, strict=True)))


def _round(topology: Topology, messages: list[list[Message]]) -> tuple[list[float], list[float]]:
    """Give the CPU of each cycle in seconds, of ours and of the raw loop."""
    spent: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory(prefix="guard-") as folder:
        ours, raw = fold.Ours(topology, Path(folder, "ours")), fold.Raw(Path(folder, "raw"))
        gc.collect()
        for blocks in fold.cycles(messages, _BLOCK):
            for of_it, contestant in zip(spent, (ours, raw), strict=True):
                began = process_time()
                contestant.cycle(blocks)
                of_it.append(process_time() - began)
        ours.close()
        raw.close()
    assert ours.actions == raw.actions > 0, "both do the job"
    return spent


def recorded() -> dict[str, float]:
    """Give the recorded ratios, by `kind`."""
    return msgspec.json.decode(BASELINE.read_bytes(), type=dict[str, float])


def kind() -> str:
    """Tell what is measured: this Python's minor version, and whether the fold is compiled."""
    return f"Python {sys.version_info[0]}.{sys.version_info[1]}, {engine()}"


def loss(measured: Measured, baseline: float) -> str:
    """Say what was lost against a baseline, or "" if it is no more than a quarter."""
    if measured.ratio <= baseline * LOSS:
        return ""
    return (
        f"the fold takes {measured.ratio:.2f} times the raw loop's CPU ({measured.fold_us:.1f} to {measured.raw_loop_us:.1f} us"
        f" an event), and the baseline is {baseline:.2f}: {measured.ratio / baseline - 1:.0%} more\n"
        f"  next: find what made it dearer (python -m benchmarks fold); if it is worth that, {_RENEW}"
    )


def main() -> int:
    """Measure, tell or write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--write", action="store_true", help="record what is measured as the baseline")
    write, measured = parser.parse_args().write, measure()
    print(f"fold {measured.fold_us:.2f} us, raw loop {measured.raw_loop_us:.2f} us of CPU an event: ratio {measured.ratio:.2f}")
    if write:
        BASELINE.write_bytes(msgspec.json.format(msgspec.json.encode(recorded() | {kind(): round(measured.ratio, 2)})) + b"\n")
        return 0
    baseline = recorded().get(kind())
    if baseline is None:
        print(f"there is no baseline of {kind()}: not compared", file=sys.stderr)
        return 0
    print(f"baseline {baseline:.2f}: {measured.ratio / baseline:.2f} of it")
    if measured.ratio < baseline * GAIN:
        print(f"  next: the fold has become faster, keep it so: {_RENEW}")
    if told := loss(measured, baseline):
        print(told, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
