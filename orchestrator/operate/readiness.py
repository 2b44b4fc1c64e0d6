"""Whether a worker could start with its settings: everything it needs, looked at one by one, nothing changed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]
from msgspec import Struct

from orchestrator import kafka
from orchestrator.errors import NotAllowed, OrchestratorError, StoreUnusable, TopicMismatch
from orchestrator.language.model import Topology
from orchestrator.operate import topics
from orchestrator.settings import Settings, client_config
from orchestrator.stream import rights
from orchestrator.workspace import Workspace

OK: Final = "ok"
WRONG: Final = "WRONG"
UNSAFE: Final = "unsafe"
SKIPPED: Final = "skipped"

_PROTECTED: Final = {"SSL": "TLS", "SASL_SSL": "TLS and SASL", "SASL_PLAINTEXT": "SASL, not encrypted"}


class Finding(Struct, frozen=True):
    """One thing that was looked at. `error` is what a worker would end with because of it."""

    what: str
    result: str
    detail: str
    error: OrchestratorError | None = None


def look(settings: Settings, say: Callable[[str], None]) -> list[Finding]:
    """Give what was found, in the order in which a worker would meet it. Blocks; `say` is told when Kafka is away."""
    findings: list[Finding] = []
    topology = _topology(settings, findings)
    findings.append(_state_dir(settings.state_dir))
    metadata = _reach(settings, say, findings)
    if topology is None or metadata is None:
        findings.append(Finding("topics and rights", SKIPPED, "they need what is wrong above"))
        return findings
    conf = client_config(settings)
    admin = kafka.admin(conf)
    findings.append(_rights(conf, admin, topology))
    findings.append(_topics(admin, topology))
    return findings


def _topology(settings: Settings, findings: list[Finding]) -> Topology | None:
    try:
        found = Workspace.load(settings.topologies, settings.schemas).topology
    except OrchestratorError as error:
        findings.append(Finding("journeys", WRONG, f"{settings.topologies}: not valid", error))
        return None
    findings.append(Finding("journeys", OK, f"{len(found.journeys)} in {settings.topologies}"))
    return found


def _state_dir(path: Path) -> Finding:
    there = next(each for each in (path.absolute(), *path.absolute().parents) if each.exists())
    if os.access(there, os.W_OK | os.X_OK) and there.is_dir():
        return Finding("state folder", OK, str(path))
    error = StoreUnusable("the state folder cannot be written", where=str(path), next_step="name another one with --state-dir")
    return Finding("state folder", WRONG, f"{path} cannot be written", error)


def _reach(settings: Settings, say: Callable[[str], None], findings: list[Finding]) -> ClusterMetadata | None:
    conf = client_config(settings)
    try:
        metadata = kafka.wait_for_broker(conf, settings.connect_timeout_s, say)
    except OrchestratorError as error:
        findings.append(Finding("Kafka", WRONG, f"{settings.bootstrap_server}: {error.code}", error))
        return None
    protocol = str(conf.get("security.protocol", "PLAINTEXT")).upper()
    count = len(metadata.brokers)
    findings.append(Finding("Kafka", OK, f"cluster {metadata.cluster_id}, {count} broker{'s' * (count != 1)}"))
    findings.append(_connection(protocol, settings))
    return metadata


def _connection(protocol: str, settings: Settings) -> Finding:
    if protocol not in _PROTECTED:
        return Finding("connection", UNSAFE, f"{protocol}: neither encrypted nor does either side know the other")
    if settings.kafka.get("enable.ssl.certificate.verification", "true") == "false":
        return Finding("connection", UNSAFE, "the broker's certificate is not verified: anybody may be it")
    if settings.kafka.get("ssl.endpoint.identification.algorithm") == "none":
        return Finding("connection", UNSAFE, "the broker's name is not compared with its certificate's")
    return Finding("connection", UNSAFE if protocol == "SASL_PLAINTEXT" else OK, _PROTECTED[protocol])


def _rights(conf: kafka.Conf, admin: AdminClient, topology: Topology) -> Finding:
    needed = rights.needed(topology.streams, topology.policy)
    try:
        lacking = rights.missing(admin, needed) + rights.tried(conf, needed)
    except OrchestratorError as error:
        return Finding("rights", WRONG, error.what, error)
    if lacking:
        refused: NotAllowed = rights.refusal(lacking)
        return Finding("rights", WRONG, refused.what, refused)
    return Finding("rights", OK, f"all {len(needed)} that a worker needs")


def _topics(admin: AdminClient, topology: Topology) -> Finding:
    # Only a worker's: one that it has no right to, such as that of the operators' acts, looks to it as if it were not there.
    own = {each.name for each in rights.needed(topology.streams, topology.policy)}
    specs = [each for each in topics.plan(topology.streams, topology.policy) if each.name in own]
    planned = topics.compare(admin, specs)
    absent = [each.spec.name for each in planned if each.state == "create"]
    error = topics.mismatch(planned)
    if error is None and absent:
        error = TopicMismatch(f"missing: {', '.join(absent)}", next_step="orchestrator topics create --execute makes them")
    if error is not None:
        return Finding("topics", WRONG, error.what, error)
    return Finding("topics", OK, f"{len(planned)}, each with its partitions")
