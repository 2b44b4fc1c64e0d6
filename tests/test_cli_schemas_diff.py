"""`schemas diff` against git: each change by field, what can still be read, and where there is nothing to compare with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import run
from tests.test_cli_schemas import change, clone, commit, committed, field, git

__all__ = ["clone", "committed"]  # fixtures

DIFF = ["schemas", "diff"]
CSAT = "events/csat.submitted.avsc"


def told(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[dict[str, Any]]]:
    capsys.readouterr()
    status = run([*DIFF, "--json", *options])
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is (status == 0)
    return status, found["differences"]


def rows(difference: dict[str, Any]) -> set[tuple[str, ...]]:
    return {tuple(each.values()) for each in difference["changes"]}


def test_what_is_as_committed_does_not_differ(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = committed / "schemas/avro" / CSAT
    path.write_text(json.dumps(json.loads(path.read_text()), indent=7))
    assert told(capsys) == (0, []), "how a file is laid out is no difference"
    assert run(DIFF) == 0
    assert capsys.readouterr() == ("", "nothing differs from HEAD\n")


def test_each_change_of_each_kind_is_told_by_field(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def before(schema: dict[str, Any]) -> None:
        inner = {"type": "record", "name": "Shop", "doc": "A shop.", "fields": [field("city", "string", default="")]}
        schema["fields"] += [field("old", "string"), field("count", "int", default=0), field("shops", array(inner), default=[])]

    def after(schema: dict[str, Any]) -> None:
        by_name = {each["name"]: each for each in schema["fields"]}
        schema.update(event_version="1.1", doc="Other.")
        schema["fields"].remove(by_name["old"])
        by_name["count"].update(type="long", default=1, doc="How many.", aliases=["number"])
        by_name["shops"]["type"]["items"]["fields"].append(field("open", ["null", "boolean"], default=None))

    change(committed, CSAT, before)
    doc = json.loads((committed / "schemas/avro" / CSAT).read_text())["doc"]
    commit(committed)
    change(committed, CSAT, after)
    git(committed, "tag", "then")
    (committed / "schemas/avro/events/history/csat.submitted-1.0.avsc").write_text(
        git(committed, "show", f"HEAD:schemas/avro/{CSAT}")
    )
    status, (found,) = told(capsys, "--since", "then")
    assert (status, found["type"], found["state"], found["readable"]) == (0, "csat.submitted", "changed", "yes")
    assert (found["before"], found["after"], found["findings"]) == ("1.0", "1.1", [])
    assert rows(found) == {
        ("", "version", "1.0", "1.1"),
        ("", "doc", doc, "Other."),
        ("", "kept version", "", "1.0"),
        ("old", "removed", "string", ""),
        ("count", "type", "int", "long"),
        ("count", "default", "0", "1"),
        ("count", "doc", "A field.", "How many."),
        ("count", "aliases", "", '["number"]'),
        ("shops[].open", "added", "", "null or boolean, default null"),
    }


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def test_what_can_no_longer_be_read_is_a_no_with_its_place(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = change(committed, CSAT, lambda schema: schema["fields"].append(field("shop", "string")))
    status, (found,) = told(capsys)
    error = next(each for each in found["findings"] if each["severity"] == "error")
    assert (status, found["readable"], error["code"]) == (1, "no", "ORC-210")
    assert path.read_text().splitlines()[error["line"] - 1][error["column"] - 1 :].startswith('"shop"')
    assert run(DIFF) == 1
    said = capsys.readouterr()
    assert f"{error['path']}:{error['line']}:{error['column']}" in said.out
    assert said.err == "1 differ from HEAD, 1 would break readers\n"


def test_what_goes_out_must_be_readable_by_those_who_read_it_then(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(committed, "journeys/Action.avsc", lambda schema: schema["fields"].append(field("more", "string", default="")))
    assert [(each["type"], each["readable"]) for each in told(capsys)[1]] == [("journeys.Action", "yes")]
    change(committed, "journeys/Action.avsc", lambda schema: schema["fields"].pop(0))
    status, (found,) = told(capsys)
    assert (status, found["readable"]) == (1, "no")
    assert "ORC-211" in {each["code"] for each in found["findings"]}


def test_a_version_that_no_file_keeps_is_readable_with_a_registry_only(
    committed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(committed, CSAT, lambda schema: schema["fields"].append(field("shop", "string", default="")))
    status, (found,) = told(capsys)
    assert (status, found["readable"], [each["code"] for each in found["findings"]]) == (0, "with a registry", ["ORC-213"])

    git(committed, "checkout", "-q", ".")
    (committed / "schemas/avro/events/history/payment.failed-1.1.avsc").unlink()
    status, (found,) = told(capsys)
    assert (status, found["type"], found["readable"]) == (0, "payment.failed", "with a registry")
    assert rows(found) == {("", "kept version", "1.1", "")}


def test_a_type_that_comes_or_goes_is_told_as_one(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    events = committed / "schemas/avro/events"
    schema = json.loads((events / "csat.submitted.avsc").read_text()) | {"name": "Visit", "event_type": "shop.visited"}
    (events / "shop.visited.avsc").write_text(json.dumps(schema))
    status, (found,) = told(capsys)
    assert (status, found["type"], found["state"], found["readable"]) == (0, "shop.visited", "added", "yes")
    commit(committed)
    (events / "shop.visited.avsc").unlink()
    status, (found,) = told(capsys)
    assert (status, found["state"], found["readable"], found["findings"][0]["code"]) == (1, "removed", "no", "ORC-214")
    assert told(capsys, "--since", "HEAD~1") == (0, [])


def test_what_history_can_no_longer_be_read_as_is_no_reason_to_say_nothing(
    committed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def narrow(schema: dict[str, Any]) -> None:
        next(each for each in schema["fields"] if each["name"] == "currency")["type"] = "int"

    change(committed, "events/payment.failed.avsc", narrow)
    assert run(["validate", "topologies"]) == 1
    status, (found,) = told(capsys)
    assert (status, found["readable"]) == (1, "no")
    assert ("currency", "type", "string", "int") in rows(found)


def test_where_there_is_nothing_to_compare_with_that_is_said(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(DIFF) == 2
    assert "is in no git work tree" in capsys.readouterr().err
    git(clone, "init", "-q")
    assert run(DIFF) == 2
    assert "git knows no such revision: HEAD" in capsys.readouterr().err
    commit(clone)
    assert run([*DIFF, "--since", "never"]) == 2
    assert "never" in capsys.readouterr().err
    assert run([*DIFF, "--registry"]) == 2
    assert "registry.url is not set" in capsys.readouterr().err
    assert run([*DIFF, "--registry", "--since", "HEAD", "--set", "registry.url=http://localhost:1"]) == 2
    assert run([*DIFF, "--registry", "--set", "registry.url=http://localhost:1"]) == 3


def test_a_file_that_is_no_schema_is_told_with_its_place(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (committed / "schemas/avro" / CSAT).write_text('{"type": "record",\n  oops}')
    assert run(DIFF) == 1
    assert f"schemas/avro/{CSAT}:2:3" in capsys.readouterr().err
