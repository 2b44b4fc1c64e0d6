"""Topologies on disk and the `validate` command: what belongs together, exit codes, output (A29 for files, conventions)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from orchestrator import defaults
from orchestrator.cli import build
from orchestrator.defaults import TOPOLOGIES
from orchestrator.errors import InvalidTopology, UsageError
from orchestrator.workspace import Workspace, bundles, schemas_beside
from tests.language.texts import HEAD, POLICY, STATES, journey


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    topologies = tmp_path / "topologies"
    (topologies / "journeys" / "growth").mkdir(parents=True)
    (topologies / "policy.yaml").write_text(POLICY)
    (topologies / "journeys" / "one.yaml").write_text(journey())
    (topologies / "journeys" / "growth" / "two.yml").write_text(journey(head=HEAD.replace("journey: j", "journey: two")))
    (topologies / "journeys" / "one.scenario.yaml").write_text("scenario: no journey\n")
    return topologies


def run(*arguments: str | Path) -> tuple[int, str]:
    result = CliRunner().invoke(build(), ["validate", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def test_a_folder_is_loaded_with_nested_journeys_and_without_scenarios(folder: Path) -> None:
    workspace = Workspace.load(folder)
    assert sorted(each.id for each in workspace.topology.journeys) == ["j", "two"]
    assert workspace.catalog.get("signup.created") is not None
    assert workspace.topology.policy.timezone == "Australia/Sydney"


def test_an_invalid_folder_raises_with_every_problem(folder: Path) -> None:
    (folder / "journeys" / "one.yaml").write_text(journey().replace("version: 1", "version: 0").replace("go: z", "go: zz"))
    with pytest.raises(InvalidTopology) as error:
        Workspace.load(folder)
    text = str(error.value)
    assert "2 errors" in text
    assert f"{folder}/journeys/one.yaml:2:10  ORC-125" in text
    assert f"{folder}/journeys/one.yaml:8:29  ORC-150" in text


def test_the_shipped_topologies_are_valid_and_without_warnings() -> None:
    assert Workspace.load(TOPOLOGIES).warnings == ()


def test_schemas_beside_a_folder_are_found_before_the_shipped_ones(folder: Path) -> None:
    assert schemas_beside(folder) is None
    events = folder.parent / "schemas" / "avro" / "events"
    events.mkdir(parents=True)
    assert schemas_beside(folder) == events.parent
    assert schemas_beside(folder / "journeys" / "one.yaml") == events.parent
    for shipped in (defaults.SCHEMAS / "events").glob("*.avsc"):
        shutil.copy(shipped, events)
    assert Workspace.load(folder).schemas == events.parent  # the worker decodes with what it validated with


def test_single_files_take_policy_and_streams_from_the_folder_above(folder: Path) -> None:
    [bundle] = bundles([folder / "journeys" / "one.yaml", folder / "journeys" / "growth" / "two.yml"])
    assert [(path.name, kind) for path, kind in bundle.files] == [
        ("one.yaml", "journey"),
        ("two.yml", "journey"),
        ("policy.yaml", "policy"),
    ]
    assert not bundle.is_complete


@pytest.mark.parametrize("missing", ["nowhere", "nowhere.yaml"])
def test_a_path_that_is_not_there_is_an_error_of_use(folder: Path, missing: str) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        bundles([folder / missing])


def test_a_folder_without_journeys_is_an_error_of_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no journeys"):
        bundles([tmp_path])


def test_the_folder_above_topologies_is_named_for_what_it_is(folder: Path) -> None:
    with pytest.raises(UsageError, match="has one in it") as error:
        bundles([folder.parent])
    assert error.value.next_step == f"give {folder}"


def test_validate_says_what_is_there(folder: Path) -> None:
    reviewed = "exit: [{on: account.closed}]\nstart:"
    for path in (folder / "journeys" / "one.yaml", folder / "journeys" / "growth" / "two.yml"):
        path.write_text(path.read_text().replace("start:", reviewed, 1))
    (folder / "journeys" / "one.scenario.yaml").write_text("scenario: j meets two\n")
    code, output = run(folder)
    assert code == 0
    assert output.splitlines() == [
        "ok: 2 journeys, 4 states, 2 steps",
        "  j v1     2 states    1 step",
        "  two v1   2 states    1 step",
    ]


def test_validate_prints_every_problem_and_counts_them(folder: Path) -> None:
    (folder / "journeys" / "one.yaml").write_text(journey().replace("owner: team\n", "").replace("go: z", "go: zz"))
    (folder / "policy.yaml").write_text(POLICY + "limts: {}\n")
    code, output = run(folder)
    assert code == 1
    assert output.splitlines() == [
        f"{folder}/journeys/one.yaml:1:10  ORC-180  warning: the journey has no `owner`: name the team that answers for it",
        f"{folder}/journeys/one.yaml:7:29  ORC-150  there is no state 'zz'; did you mean 'z'?",
        f"{folder}/policy.yaml:8:1  ORC-120  the policy has no setting `limts`; did you mean 'limits'?",
        "",
        "not valid: 2 errors, 1 warning",
    ]


def test_validate_of_one_journey_alone_does_not_check_names_of_a_policy(tmp_path: Path) -> None:
    (tmp_path / "one.yaml").write_text(journey())
    code, output = run(tmp_path / "one.yaml")
    assert code == 0
    assert "ORC-182  warning: no policy.yaml was found" in output
    assert "ok: 1 journey, 2 states, 1 step, 3 warnings" in output
    assert "ORC-183  warning: no exit rule" in output
    assert "ORC-187  warning: no scenario names this journey" in output


def test_strict_makes_warnings_errors(folder: Path) -> None:
    code, output = run(folder, "--strict")
    assert code == 1
    assert "ORC-183  no exit rule" in output
    assert "warning:" not in output
    document = json.loads(run(folder, "--strict", "--json")[1])
    assert (document["ok"], document["warnings"]) == (False, 0)


def test_the_shipped_topologies_stand_before_a_strict_reviewer() -> None:
    assert run(TOPOLOGIES, "--strict")[0] == 0


def test_a_scenario_tests_a_journey_that_it_names_and_not_one_with_a_longer_name(folder: Path) -> None:
    (folder / "journeys" / "growth" / "x.scenario.yaml").write_text("expect: {states: {c1: {two-more: a, j: b}}}\n")
    (bundle,) = bundles([folder])
    assert bundle.tested(["j", "two", "two-more"]) == {"j", "two-more"}
    (single,) = bundles([folder / "journeys" / "growth" / "two.yml"])
    assert single.tested(["j"]) == {"j"}


def test_validate_as_json(folder: Path) -> None:
    (folder / "journeys" / "one.yaml").write_text(journey().replace("purpose: onboarding", "purpose: onbording"))
    code, output = run(folder, "--json")
    document = json.loads(output)
    assert code == 1
    assert (document["ok"], document["errors"], document["warnings"]) == (False, 1, 0)
    assert document["problems"] == [
        {
            "path": f"{folder}/journeys/one.yaml",
            "line": 4,
            "column": 10,
            "code": "ORC-152",
            "severity": "error",
            "message": "policy.yaml has no purpose 'onbording'",
            "suggestion": "onboarding",
        }
    ]
    assert [each["journey"] for each in document["journeys"]] == ["two", "j"]


def test_validate_takes_schemas_from_the_option(folder: Path, tmp_path: Path) -> None:
    schema = {
        "type": "record",
        "name": "SignupCreated",
        "namespace": "journeys.events",
        "event_type": "signup.created",
        "event_version": "1.0",
        "fields": [
            {"name": "event_id", "type": "string"},
            {"name": "customer_id", "type": "string"},
            {"name": "occurred_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            {"name": "colour", "type": "string"},
        ],
    }
    own = tmp_path / "own"
    own.mkdir()
    (own / "signup.created.avsc").write_text(json.dumps(schema))
    (folder / "journeys" / "one.yaml").write_text(
        journey(head=HEAD.replace("{on: signup.created}", "{on: signup.created, when: event.colour == 'red'}"))
    )
    assert run(folder, "--schemas", own)[0] == 0
    code, output = run(folder)
    assert code == 1
    assert "no schema of the event declares event.colour" in output


def test_validate_reports_broken_schemas_beside_the_problems_of_the_files(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "x.avsc").write_text("{")
    (folder / "journeys" / "one.yaml").write_text(journey(STATES.replace("go: z", "go: zz")))
    code, output = run(folder, "--schemas", own)
    assert code == 1
    assert "x.avsc: not JSON" in output
    assert "there is no state 'zz'" in output


@pytest.mark.parametrize("arguments", [["nowhere"], [".", "--schemas", "nowhere"]])
def test_validate_exits_2_for_a_path_that_is_not_there(arguments: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "orchestrator", "validate", *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert result.returncode == 2
    assert result.stderr.startswith("error: ORC-001 no such")
    assert "next:" in result.stderr
