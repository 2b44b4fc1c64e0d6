"""`schemas check` without a registry: what a schema change breaks is told with every place, before anything runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    said = capsys.readouterr().err
    assert "schemas are sound" in said
    assert "versions in git were not compared" in said, "this folder is in no work tree, and that is no secret"


def test_a_field_that_journeys_read_cannot_go_unnoticed(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rename_a_field(clone, "amount", "amount_due")
    assert run(CHECK) == 1
    told = capsys.readouterr().out.splitlines()
    lines = [line for line in told if "declares event.amount" in line]
    for line in lines:
        path, number, column = line.split()[0].split(":")
        there = (clone / path).read_text().splitlines()[int(number) - 1]
        assert there[int(column) - 1 :].startswith("amount"), "the place is there"
        expression = told[told.index(line) + 1].strip().removeprefix("in: ")
        assert expression in there, "the expression that breaks stands below"
        assert "event.amount" in expression
    assert {line.split(":")[0].strip() for line in lines} == {
        "topologies/journeys/onboarding.yaml", "topologies/journeys/payment-recovery.yaml",
    }  # fmt: skip


def test_a_field_that_nobody_reads_may_go(clone: Path) -> None:
    schema = json.loads((clone / "schemas/avro/events/purchase.made.avsc").read_text())
    schema["fields"].append({"name": "shop", "type": ["null", "string"], "default": None, "doc": "Where."})
    (clone / "schemas/avro/events/purchase.made.avsc").write_text(json.dumps(schema))
    assert run(CHECK) == 0


# With git.


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def committed(clone: Path) -> Path:
    git(clone, "init", "-q")
    commit(clone)
    return clone


def commit(clone: Path) -> None:
    git(clone, "add", "-A")
    git(clone, "commit", "-q", "-m", "x")


def change(clone: Path, name: str, edit: Callable[[dict[str, Any]], None]) -> Path:
    path = clone / "schemas/avro" / name
    schema = json.loads(path.read_text())
    edit(schema)
    path.write_text(json.dumps(schema, indent=1))
    return path


def findings(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, list[dict[str, Any]]]:
    capsys.readouterr()
    status = run([*CHECK, "--json", *options])
    return status, [each for each in json.loads(capsys.readouterr().out)["findings"] if each["code"] >= "ORC-210"]


def test_what_was_committed_must_stay_readable_even_after_later_commits(
    committed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """BACKWARD_TRANSITIVE: a field that went away comes back with another type."""
    change(committed, "events/csat.submitted.avsc", lambda schema: schema["fields"].append(field("shop", "string", default="")))
    commit(committed)
    change(committed, "events/csat.submitted.avsc", lambda schema: schema["fields"].pop())
    commit(committed)
    assert findings(capsys)[0] == 0, "a field may go from what comes in"

    path = change(
        committed, "events/csat.submitted.avsc", lambda schema: schema["fields"].append(field("shop", "int", default=0))
    )
    status, told = findings(capsys)
    (broken,) = [each for each in told if each["severity"] == "error"]
    assert (status, broken["code"], broken["path"]) == (1, "ORC-210", "schemas/avro/events/csat.submitted.avsc")
    assert path.read_text().splitlines()[broken["line"] - 1][broken["column"] - 1 :].startswith('"shop"')
    assert git(committed, "rev-parse", "HEAD~1")[:10] in broken["message"], "it says which version it was"
    assert "shop was string and is int" in broken["message"]


def test_what_goes_out_must_stay_readable_by_old_readers_too(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def drop(schema: dict[str, Any]) -> None:
        schema["fields"] = [each for each in schema["fields"] if each["name"] != "journey"]

    change(committed, "journeys/Action.avsc", drop)
    status, told = findings(capsys)
    assert (status, [each["code"] for each in told]) == (1, ["ORC-211"])
    assert "journey is gone and had no default" in told[0]["message"]


def test_a_version_that_no_file_keeps_a_rename_and_a_file_that_is_gone(
    committed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(committed, "events/csat.submitted.avsc", lambda schema: schema["fields"].append(field("shop", "string", default="")))
    old = git(committed, "show", "HEAD:schemas/avro/events/csat.submitted.avsc")
    status, told = findings(capsys)
    assert (status, [(each["code"], each["severity"]) for each in told]) == (0, [("ORC-213", "warning")])
    assert findings(capsys, "--strict")[0] == 1
    (committed / "schemas/avro/events/history/csat.submitted-1.0.avsc").write_text(old)
    assert findings(capsys) == (0, [])

    change(committed, "events/csat.submitted.avsc", lambda schema: schema.update(name="Csat"))
    change(committed, "events/history/csat.submitted-1.0.avsc", lambda schema: schema.update(name="Csat"))
    assert "ORC-212" in {each["code"] for each in findings(capsys)[1]}

    git(committed, "checkout", "-q", ".")
    (committed / "schemas/avro/events/purchase.made.avsc").unlink()
    (committed / "topologies/journeys/winback.yaml").unlink()
    streams = committed / "topologies/streams.yaml"
    streams.write_text(streams.read_text().replace("      - purchase.made\n", ""))
    assert "ORC-214" in {each["code"] for each in findings(capsys)[1]}


def test_what_had_gone_before_the_first_release_does_not_count(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(committed, "journeys/Action.avsc", lambda schema: schema["fields"].append(field("draft", "string")))
    commit(committed)
    change(committed, "journeys/Action.avsc", lambda schema: schema["fields"].pop())
    commit(committed)
    git(committed, "tag", "v1")
    assert findings(capsys)[0] == 1
    assert findings(capsys, "--since", "v1") == (0, [])
    change(committed, "journeys/Action.avsc", lambda schema: schema["fields"].append(field("draft", "int")))
    assert {each["code"] for each in findings(capsys, "--since", "v1")[1]} == {"ORC-210"}, "what the release had counts"


def test_where_git_cannot_help_that_is_said(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*CHECK, "--git"]) == 2
    assert "is in no git work tree" in capsys.readouterr().err
    git(clone, "init", "-q")
    assert run(CHECK) == 0
    assert "compared with 0 versions in git" in capsys.readouterr().err
    commit(clone)
    assert run([*CHECK, "--since", "never"]) == 2
    assert "no such revision: never" in capsys.readouterr().err
    assert run([*CHECK, "--no-git"]) == 0
    assert "--no-git was given" in capsys.readouterr().err


@pytest.mark.parametrize("form", [".git", "{}/.git"])
def test_a_git_hook_sees_the_same(
    committed: Path, form: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(CHECK)
    outside = capsys.readouterr()
    monkeypatch.setenv("GIT_DIR", form.format(committed))
    monkeypatch.setenv("GIT_INDEX_FILE", ".git/index")
    assert run(CHECK) == 0
    inside = capsys.readouterr()
    assert inside == outside
    assert "compared with 0 versions" not in inside.err
    assert "versions in git" in inside.err


def test_a_shallow_clone_is_not_taken_for_a_whole_history(
    committed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(committed, "events/csat.submitted.avsc", lambda schema: schema.update(doc="Other."))
    commit(committed)
    git(committed, "clone", "-q", "--depth", "1", f"file://{committed}", "shallow")
    monkeypatch.chdir(committed / "shallow")
    assert run(CHECK) == 0
    assert "git fetch --unshallow" in capsys.readouterr().err


def test_everything_is_told_at_once(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change(clone, "events/csat.submitted.avsc", lambda schema: schema.pop("event_version"))
    change(clone, "events/auth.login.avsc", lambda schema: schema["fields"].append(field("paidAt", "long", default=0)))
    (clone / "schemas/avro/events/purchase.made.avsc").write_text('{"type": "record",\n  oops}')
    (clone / "schemas/avro/journeys/Action.avsc").write_text('{"type": "record"}')
    assert run(CHECK) == 1
    lines = capsys.readouterr().out.splitlines()
    starts = [line.split()[0].removeprefix("schemas/avro/") + " " + line.split()[1] for line in lines]
    assert "events/purchase.made.avsc:2:3 ORC-200" in starts
    assert "journeys/Action.avsc:1:1 ORC-200" in starts
    assert any(start.startswith("events/csat.submitted.avsc:") and start.endswith("ORC-200") for start in starts)
    assert {start.split()[1] for start in starts if start.startswith("events/auth.login")} == {"ORC-202", "ORC-207"}


def field(name: str, kind: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "doc": "A field.", **more}
