"""Ours: the job as a journey in YAML, run by the worker as anyone would start it."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from benchmarks.w1.contestant import Job, Process
from benchmarks.w1.oracle import Sent
from benchmarks.w1.workload import HERE, SCHEMAS
from orchestrator.operate.topics import TopicOptions, plan
from orchestrator.wire.actions import decode_action
from orchestrator.workspace import Workspace
from tests.brokers import read_to_end

NAME = "ours"
ONE_IN = 1


def prepare() -> None:
    """It is all here."""


def start(job: Job) -> Process:
    """Give the topology its own topics, make them, start a worker."""
    lay(job)
    return worker(job, "w0")


def lay(job: Job) -> None:
    """Give the topology its own topics and make them."""
    topologies = job.folder / "topologies"
    for name, text in _files(job):
        (topologies / name).parent.mkdir(parents=True, exist_ok=True)
        (topologies / name).write_text(text, encoding="utf-8")
    topology = Workspace.load(topologies, SCHEMAS).topology
    for spec in plan(topology.streams, topology.policy, TopicOptions(retention_ms=-1)):
        if spec.name != job.topic:
            config = {name.replace(".", "_"): value for name, value in spec.config.items()}
            job.broker.create_topic(spec.name, spec.partitions, **config)


def worker(job: Job, name: str) -> Process:
    """Start a worker of that name, on the topology that is there."""
    arguments = ["--topologies", str(job.folder / "topologies"), "--schemas", str(SCHEMAS)]
    arguments += [
        "--bootstrap-server",
        job.broker.bootstrap,
        "--state-dir",
        str(job.folder / f"state-{name}"),
        "--worker-id",
        name,
        "--processes",
        str(job.processes),
    ]
    return Process(job.folder / f"log-{name}", [sys.executable, "-m", "orchestrator", "worker", *arguments])


def _files(job: Job) -> Iterator[tuple[str, str]]:
    source = HERE / "topologies"
    for path in source.rglob("*.yaml"):
        text = path.read_text(encoding="utf-8").replace("topic: w1.events", f"topic: {job.topic}")
        yield str(path.relative_to(source)), text.replace("app: w1", f"app: {job.name}").replace(" w1.", f" {job.name}.")


def actions(job: Job) -> list[Sent]:
    """Read the commands."""
    found = [decode_action(row.value or b"") for row in read_to_end(job.broker.bootstrap, job.actions_topic)]
    return [Sent(one["customer"], one["template"], one["data"]["changes"], one["created_at"]) for one in found]
