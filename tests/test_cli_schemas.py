"""`schemas check` without a registry: a schema change that breaks a journey is told with every place, before anything runs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from orchestrator.cli import run
from tests.house.tree import ROOT

CHECK = ["schemas", "check"]


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("topologies", "schemas"):
        shutil.copytree(ROOT / name, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rename_a_field(clone: Path, old: str, new: str) -> None:
    events = clone / "schemas/avro/events"
    for path in (events / "history").glob("payment.failed*"):
        path.unlink()
    path = events / "payment.failed.avsc"
    schema = json.loads(path.read_text())
    for field in schema["fields"]:
        field["name"] = new if field["name"] == old else field["name"]
    path.write_text(json.dumps(schema))


def test_what_is_shipped_is_sound(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(CHECK) == 0
    assert "schemas are sound" in capsys.readouterr().err


def test_a_field_that_journeys_read_cannot_go_unnoticed(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rename_a_field(clone, "amount", "amount_due")
    assert run(CHECK) == 1
    said = capsys.readouterr().err
    lines = [line for line in said.splitlines() if "event.amount" in line]
    for line in lines:
        path, number, column = line.split()[0].split(":")
        assert (clone / path).read_text().splitlines()[int(number) - 1][int(column) - 1 :].strip(), "the place is there"
    assert {line.split(":")[0].strip() for line in lines} == {
        "topologies/journeys/onboarding.yaml", "topologies/journeys/payment-recovery.yaml",
    }  # fmt: skip


def test_a_field_that_nobody_reads_may_go(clone: Path) -> None:
    schema = json.loads((clone / "schemas/avro/events/purchase.made.avsc").read_text())
    schema["fields"].append({"name": "shop", "type": ["null", "string"], "default": None, "doc": "Where."})
    (clone / "schemas/avro/events/purchase.made.avsc").write_text(json.dumps(schema))
    assert run(CHECK) == 0
