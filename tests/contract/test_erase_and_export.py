"""Erasing and exporting a customer through the commands, on a real Kafka (rules F1, F2)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.names import ExitCode
from orchestrator.operate.demo.events import EventLine
from orchestrator.stream.failpoints import VARIABLE, Action, Failpoint
from orchestrator.wire.exports import decode_export
from orchestrator.wire.ours import decode_ours
from orchestrator.wire.partitioning import partition_for
from tests.contract.conftest import MakeStage
from tests.contract.exactly_once import assert_exactly_once
from tests.contract.operators import Shell, fail_call, log_in, make, now_ms, sign_up, wait_for_help
from tests.contract.stage import Stage

# Two ids of one person, in one partition as a merge needs it.
ANN = "ann"
PHONE = next(f"phone-{n}" for n in range(99) if partition_for(f"phone-{n}".encode(), 2) == partition_for(ANN.encode(), 2))
HERE = partition_for(ANN.encode(), 2)


def _event(customer: str, event: str, **data: Any) -> EventLine:
    return EventLine(now_ms(), customer, event, f"{event}-{customer}", data)


def _live(stage: Stage) -> None:
    """Somebody with two ids, a profile, a parked call and an incident; and somebody else."""
    sign_up(stage, ANN, "bob")
    stage.produce([_event(PHONE, "profile.updated", fields={"city": "Perth"})])
    stage.produce([_event(PHONE, "profile.merged", **{"from": PHONE, "into": ANN})])
    log_in(stage, ANN)
    wait_for_help(stage, "calling", ANN)
    fail_call(stage, ANN)
    stage.wait_until("the call has failed", lambda: len(stage.incidents()) == 1)


def test_f1_f2_what_is_kept_is_exported_and_erased_with_a_receipt(
    stage_on_kafka: MakeStage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = make(stage_on_kafka, 2)
    shell, streams = Shell(stage, capsys), stage.topology.streams
    worker = stage.worker()
    _live(stage)

    assert shell.run("export", PHONE) == ExitCode.USAGE, "no reason given"
    avro = tmp_path / "ann.avro"
    noted = ("--reason", "ticket 1", "--by", "olga", "--wait", "120")
    exported = shell.json("export", PHONE, "--avro", str(avro), *noted)
    document = exported["document"]
    assert set(document["ids"]) == {ANN, PHONE} == set(document["kept"])
    assert document["kept"][ANN]["profile"]["city"]["value"] == "Perth"
    records = {topic: each["records"] for topic, each in document["topics"].items()}
    assert [each["event"] for each in records[stage.events]] == [
        "signup.created", "profile.updated", "profile.merged", "auth.login",
    ]  # fmt: skip
    assert records[streams.events[0].topic][1]["payload"] == {"city": "Perth"}
    assert len(records[streams.incidents]) == 1 and records[streams.outcomes][0]["payload"]["status"] == "failed"
    assert [each["payload"]["operation"] for each in records[streams.operations]] == ["export"]
    assert len(records[stage.topology.policy.channels["case-desk"].topic]) == 1
    assert decode_ours("CustomerExport", avro.read_bytes())["customer"] == PHONE
    (audit,) = [one for each in stage.handlings() for one in each["decisions"] if one["kind"] == "operated"]
    assert (audit["reason"], audit["detail"]) == ("export", {"requested_by": "olga", "why": "ticket 1"})

    plan = shell.json("erase", PHONE)
    assert set(plan["ids"]) == set(plan["documents"]) == {ANN, PHONE} and plan["incidents"] == 1
    assert {ANN.encode(), PHONE.encode()} <= set(stage.changelog_documents()), "a plan changes nothing"
    receipt = shell.do("erase", PHONE)["receipt"]
    assert receipt["went"]["instances"] == "1" and receipt["went"]["other_ids"] == "1"
    rows = {f"{streams.changelog}/{row.partition}/{row.offset}": row for row in stage.rows(streams.changelog)}
    graves = {each: rows[place] for each, place in receipt["tombstones"].items()}
    assert {each: (row.key, row.value) for each, row in graves.items()} == {each: (each.encode(), None) for each in (ANN, PHONE)}
    assert receipt["requested"] == f"{streams.operations}/{HERE}/1" and receipt["requested_by"] == "olga"
    (said,) = [each["stays"] for each in receipt["left"] if each["topic"] == streams.incidents]
    assert said.startswith("1 of this customer, before offset ") and said.endswith("for ever")

    # The tombstones hold for a worker that has to rebuild its store, and for the rest of time.
    assert worker.stop() == 0
    shutil.rmtree(stage.state_of("w0"))
    worker = stage.worker()
    stage.wait_until("it is ready", lambda: "worker_ready" in worker.log.read_text())
    again = shell.json("export", ANN, *noted)
    assert again["document"]["kept"] == {}
    assert shell.do("erase", "nobody-knows")["receipt"]["tombstones"] == {}
    assert worker.stop() == 0
    assert set(stage.changelog_documents()) == {b"bob"} == set(stage.stored_documents("w0"))
    assert_exactly_once(stage)


def test_f2_who_asks_by_an_event_is_answered_once_though_the_worker_is_killed(
    stage_on_kafka: MakeStage, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = make(stage_on_kafka, 2)
    shell, streams = Shell(stage, capsys), stage.topology.streams
    killed = stage.worker("w0", **{VARIABLE: f"{Failpoint.HALF_PRODUCED}:2={Action.KILL}"})
    sign_up(stage, ANN, "bob")
    stage.wait_until("the first cycle is over", lambda: bool(stage.journal()))
    stage.produce([_event(ANN, "profile.updated", fields={"city": "Perth"})])
    stage.produce([_event(ANN, "privacy.export_requested", request_id="r-1"), _event("cy", "privacy.export_requested")])
    killed.wait(60)
    worker = stage.worker()
    stage.wait_until("both are answered", lambda: len(stage.rows(streams.exports)) == 2)

    answers = {row.key: (row.partition, decode_export(row.value or b"")) for row in stage.rows(streams.exports)}
    partition, answer = answers[ANN.encode()]
    assert (partition, answer["customer"], answer["request_id"]) == (HERE, ANN, "r-1")
    kept = answer["document"]["kept"][ANN]
    assert kept["profile"]["city"]["value"] == "Perth"
    assert [each["journey"] for each in kept["instances"]] == [each.id for each in stage.topology.journeys]
    assert answers[b"cy"][1]["document"]["kept"] == {"cy": {"event_ids_known": 1}}, "so that a repeat is known"
    said = [one["detail"] for each in stage.handlings() for one in each["decisions"] if one["kind"] == "exported"]
    assert sorted(each.get("request_id", "") for each in said) == ["", "r-1"]

    exported = shell.json("export", ANN, "--reason", "ticket 1", "--by", "olga", "--wait", "120")
    (told,) = exported["document"]["topics"][streams.exports]["records"]
    assert told["document"] == answer["document"]
    (left,) = [each for each in shell.json("erase", ANN)["left"] if each["topic"] == streams.exports]
    assert left["stays"] == "7 days"
    assert worker.stop() == 0
    replayed = shell.json("replay", "--out", str(tmp_path / "replayed"))
    assert (replayed["compared"]["export"], sum(replayed["differences"].values())) == (2, 0)
    assert_exactly_once(stage)
