"""What the benchmark asks of each contestant."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from benchmarks.w1.oracle import Sent
from benchmarks.w1.workload import PARTITIONS
from tests import proc
from tests.brokers import Broker


class Job(Struct, frozen=True):
    """What is to be done: read `topic`, write to `actions_topic`; `name` is free for groups, transactions and topics.

    `processes` is how many processes or threads it is to have, if it can share partitions among several.
    """

    broker: Broker
    topic: str
    name: str
    folder: Path
    processes: int = 1

    @property
    def actions_topic(self) -> str:
        """Where the actions go."""
        return f"{self.name}.actions"

    def make_actions_topic(self) -> None:
        """Make it, so that it keeps what it gets: Kafka Streams gives actions the times of their events, which are months old."""
        self.broker.create_topic(self.actions_topic, PARTITIONS, retention_ms="-1")


class Process:
    """A contestant at work, which may be several processes; its output is kept in the job's folder."""

    def __init__(self, log: Path, *commands: Sequence[str]) -> None:
        with log.open("wb") as out:
            self._processes = [subprocess.Popen(each, stdout=out, stderr=out) for each in commands]
        self.log, self.pid = log, self._processes[0].pid

    def cpu_seconds(self) -> float:
        """Give the CPU that it has used, in user and system mode, with the processes that it has started."""
        assert all(each.poll() is None for each in self._processes), self.log.read_text(errors="replace")[-2000:]
        return sum(proc.cpu_seconds(each.pid) for each in self._processes)

    def stop(self) -> None:
        """Let it end as its users would."""
        for each in self._processes:
            each.terminate()
        for each in self._processes:
            each.wait(60)

    def end(self) -> None:
        """Leave no process behind."""
        for each in self._processes:
            if each.poll() is None:
                each.kill()
                each.wait(10)


class CannotRun(Exception):
    """A contestant cannot be had here; the text says why."""


class Contestant(Protocol):
    """A module or object that does the job. It is given one record in `ONE_IN`, the first ones, if it is too slow for all."""

    NAME: str
    ONE_IN: int

    def prepare(self) -> None:
        """Have all that it needs, downloaded and built if need be. Raises CannotRun, or KafkaUnavailable for want of jars."""

    def start(self, job: Job) -> Process:
        """Make the topics it needs and start it."""

    def actions(self, job: Job) -> list[Sent]:
        """Give what it sent, each customer's in order."""


def python(module: str, job: Job, *more: str) -> Process:
    """Start a contestant that is a module of its own, with the job as JSON and more arguments."""
    told = {"bootstrap": job.broker.bootstrap, "topic": job.topic, "name": job.name, "folder": str(job.folder)}
    return Process(job.folder / "log", [sys.executable, "-m", module, json.dumps(told), *more])
