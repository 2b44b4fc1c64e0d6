"""A worker against a Kafka that trusts nobody: each way of coming in, with exactly the rights listed, and with one less."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka.admin import AclBinding, AclBindingFilter, AclOperation, AclPermissionType

from orchestrator.cli import run
from orchestrator.stream import rights
from tests.brokers import unique
from tests.brokers.secured import WAYS, SecuredKafka, Way
from tests.contract.cdnow import some_purchases
from tests.contract.stage import Stage, WorkerProcess

PASSWORD = "correct-horse-battery"

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.xdist_group(name="secured")]


@pytest.fixture
def stage(secured: SecuredKafka, tmp_path: Path) -> Iterator[Stage]:
    """Topics and journeys of the test's own, made by the super user."""
    made = Stage(secured, tmp_path, partitions=len(WAYS))
    yield made
    made.close()


def needed(stage: Stage) -> list[rights.Right]:
    return rights.needed(stage.topology.streams, stage.topology.policy)


def settings_file(secured: SecuredKafka, folder: Path, way: Way, name: str, password: str = PASSWORD) -> Path:
    path = folder / f"{way}-{name}.toml"
    path.write_text(secured.settings(way, name, password))
    return path


def allow(secured: SecuredKafka, stage: Stage, principal: str) -> None:
    """By the command, as an operator would."""
    arguments = ["--topologies", str(stage.topologies), "--bootstrap-server", secured.bootstrap]
    assert run(["acls", "create", "--principal", f"User:{principal}", "--execute", *arguments]) == 0


def owned(worker: WorkerProcess) -> int:
    """How many partitions it was ready with last."""
    ready = [line for line in worker.log.read_text().splitlines() if '"worker_ready"' in line]
    return len(json.loads(ready[-1])["partitions"]) if ready else 0


def test_workers_that_come_in_by_every_way_share_one_group_with_no_more_than_the_listed_rights(
    secured: SecuredKafka, stage: Stage, tmp_path: Path
) -> None:
    secured.add_user(scram := unique("scram"), PASSWORD)
    names: dict[Way, str] = {"tls": unique("anonymous"), "mtls": unique("mtls"), "scram": scram, "oauth": unique("oauth")}
    workers = {}
    for way, name in names.items():
        if way != "tls":  # who shows no certificate is nobody in particular, here a super user
            allow(secured, stage, name)
        config = settings_file(secured, tmp_path, way, name)
        # The later option wins: the stage names the plain listener.
        workers[way] = stage.worker(way, "--config", str(config), "--bootstrap-server", secured.address(way))
    purchases = some_purchases(200)

    stage.wait_until("each has a partition", lambda: all(owned(worker) == 1 for worker in workers.values()))
    count = stage.produce(purchases)
    stage.wait_until("every event is handled", lambda: stage.handled_records() == count)

    assert {worker.stop() for worker in workers.values()} == {0}
    assert not [way for way, worker in workers.items() if PASSWORD in worker.log.read_text()]


def without(secured: SecuredKafka, right: rights.Right, principal: str) -> None:
    """Take one ACL away again."""
    (binding,) = rights.bindings([right], f"User:{principal}")
    client = secured.admin()
    (future,) = client.delete_acls([_exactly(binding)]).values()
    assert len(future.result(30)) == 1


def _exactly(binding: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype, binding.name, binding.resource_pattern_type, binding.principal, "*",
        AclOperation[binding.operation.name], AclPermissionType.ALLOW,
    )  # fmt: skip


def test_without_any_one_of_the_rights_the_check_fails_and_names_it(
    secured: SecuredKafka, stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    principal = unique("one-less")
    secured.add_user(principal, PASSWORD)
    allow(secured, stage, principal)
    check = ["config", "check", "--topologies", str(stage.topologies), "--state-dir", str(tmp_path / "state")]
    check += ["--config", str(settings_file(secured, tmp_path, "scram", principal))]
    assert run(check) == 0
    capsys.readouterr()

    for right in needed(stage):
        without(secured, right, principal)
        assert run(check) == 4
        said = capsys.readouterr().err
        assert "ORC-014" in said
        assert f"may not {right}\n" in said, "this right and no other"
        rights.give(secured.admin(), [right], f"User:{principal}")
    assert run(check) == 0


@pytest.mark.parametrize(
    ("resource", "operation", "purpose"),
    [
        (rights.TOPIC, rights.READ, "events"),
        (rights.TOPIC, rights.WRITE, "cycles"),
        (rights.GROUP, rights.READ, "joining, committing offsets"),
        (rights.TRANSACTIONAL_ID, rights.WRITE, "one id a worker"),
    ],
)
def test_a_worker_without_one_of_its_rights_ends_and_says_so(
    secured: SecuredKafka, stage: Stage, tmp_path: Path, resource: str, operation: str, purpose: str
) -> None:
    secured.add_user(principal := unique("less"), PASSWORD)
    allow(secured, stage, principal)
    (right,) = (each for each in needed(stage) if (each.resource, each.operation, each.why) == (resource, operation, purpose))
    without(secured, right, principal)
    config = settings_file(secured, tmp_path, "scram", principal)

    worker = stage.worker("w0", "--config", str(config), "--bootstrap-server", secured.address("scram"))

    assert worker.wait(120) == 4, worker.tail()
    assert "ORC-014" in worker.tail()
    assert resource == rights.TRANSACTIONAL_ID or str(right) in worker.tail()
    stage._workers.remove(worker)  # its end was meant


def test_a_right_that_is_taken_from_a_running_worker_ends_it(secured: SecuredKafka, stage: Stage, tmp_path: Path) -> None:
    secured.add_user(principal := unique("taken"), PASSWORD)
    allow(secured, stage, principal)
    config = settings_file(secured, tmp_path, "scram", principal)
    worker = stage.worker("w0", "--config", str(config), "--bootstrap-server", secured.address("scram"))
    stage.wait_until("the worker is ready", lambda: "worker_ready" in worker.tail())

    (journal,) = (each for each in needed(stage) if each.why == "cycles")
    without(secured, journal, principal)
    stage.produce(some_purchases(1))

    assert worker.wait(120) == 4
    assert "ORC-014" in worker.tail()
    stage._workers.remove(worker)


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("scram", "SASL authentication error"),
        ("oauth", "OAUTHBEARER token"),
        ("mtls", "tls alert"),
        ("tls", "certificate verify failed"),
    ],
)
def test_who_is_not_known_is_told_so_at_once(secured: SecuredKafka, stage: Stage, tmp_path: Path, way: Way, said: str) -> None:
    config = settings_file(secured, tmp_path, way, "nobody", "wrong")
    text = config.read_text()
    if way == "mtls":  # comes without a certificate
        text = "".join(line for line in text.splitlines(keepends=True) if "certificate.l" not in line and "ssl.key" not in line)
    if way == "tls":  # trusts another authority: the machine's
        text = "".join(line for line in text.splitlines(keepends=True) if "ssl.ca" not in line)
    config.write_text(text)

    done = subprocess.run(
        [sys.executable, "-m", "orchestrator", "config", "check", "--config", str(config), "--topologies", stage.topologies],
        capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
    )  # fmt: skip

    assert done.returncode == 4, done.stderr
    assert "ORC-080" in done.stderr
    assert said in done.stderr
    assert "trying for" not in done.stderr, "to try again is of no use"
