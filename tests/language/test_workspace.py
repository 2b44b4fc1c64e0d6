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
            "expression": "",
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


@pytest.fixture
def versions(folder: Path) -> Path:
    """`j` in version 2 takes entries, version 1 is kept."""
    live = folder / "journeys" / "one.yaml"
    live.write_text(live.read_text().replace("version: 1", "version: 2"))
    (folder / "earlier").mkdir()
    (folder / "earlier" / "one.yaml").write_text(journey())
    return folder


def test_v1_earlier_versions_are_loaded_beside_the_live_ones(versions: Path) -> None:
    topology = Workspace.load(versions).topology
    assert sorted((each.id, each.version) for each in topology.journeys) == [("j", 2), ("two", 1)]
    assert [(each.id, each.version) for each in topology.earlier] == [("j", 1)]


def test_v1_earlier_versions_of_a_folder_without_journeys_in_it_take_no_entries_either(versions: Path) -> None:
    for path in (versions / "journeys").rglob("*.y*ml"):
        path.rename(versions / path.name)
    shutil.rmtree(versions / "journeys")
    topology = Workspace.load(versions).topology
    assert sorted((each.id, each.version) for each in topology.journeys) == [("j", 2), ("two", 1)]
    assert [(each.id, each.version) for each in topology.earlier] == [("j", 1)]


def test_v1_the_digest_covers_earlier_versions_and_where_they_lie(versions: Path) -> None:
    seen = [Workspace.load(versions).digest]
    kept = versions / "earlier" / "one.yaml"
    kept.write_text(kept.read_text().replace("owner: team", "owner: other-team"))
    seen.append(Workspace.load(versions).digest)
    kept.rename(versions / "one.yaml.gone")
    seen.append(Workspace.load(versions).digest)
    (versions / "journeys" / "growth" / "two.yml").rename(versions / "earlier" / "two.yml")
    seen.append(Workspace.load(versions).digest)
    assert len(set(seen)) == 4


def test_v1_validate_shows_earlier_versions_and_asks_them_nothing_of_the_checklist(versions: Path) -> None:
    code, output = run(versions)
    assert code == 0
    assert output.splitlines()[-1] == "  earlier: j v1"
    assert "earlier/one.yaml" not in output
    assert "journeys/one.yaml:1:10  ORC-187  warning: no scenario names this journey" in output
    listed = json.loads(run(versions, "--json")[1])["journeys"]
    assert sorted((each["journey"], each["version"], each["earlier"]) for each in listed) == [
        ("j", 1, True),
        ("j", 2, False),
        ("two", 1, False),
    ]


def test_v1_an_earlier_version_is_checked_as_any_journey_and_its_file_is_named(versions: Path) -> None:
    (versions / "earlier" / "one.yaml").write_text(journey().replace("go: z", "go: zz").replace("onboarding", "onbording"))
    code, output = run(versions)
    assert code == 1
    assert f"{versions}/earlier/one.yaml:4:10  ORC-152  policy.yaml has no purpose 'onbording'" in output
    assert f"{versions}/earlier/one.yaml:8:29  ORC-150  there is no state 'zz'" in output


@pytest.mark.parametrize("version", [2, 3])
def test_v1_an_earlier_version_must_be_lower_than_the_live_one(versions: Path, version: int) -> None:
    (versions / "earlier" / "one.yaml").write_text(journey().replace("version: 1", f"version: {version}"))
    code, output = run(versions)
    assert code == 1
    assert (
        f"{versions}/earlier/one.yaml:1:10  ORC-157  version {version} of 'j' is no earlier one: entries take version 2; "
        f"raise the `version` at {versions}/journeys/one.yaml:1:10, or remove this file if it never ran"
    ) in output


def test_v1_one_version_is_kept_in_one_file(versions: Path) -> None:
    (versions / "earlier" / "two.yaml").write_text(journey())
    code, output = run(versions)
    assert code == 1
    message = f"version 1 of the journey 'j' is already kept at {versions}/earlier/one.yaml:1:10"
    assert f"{versions}/earlier/two.yaml:1:10  ORC-156  {message}" in output


def test_v1_two_versions_among_the_journeys_are_refused_with_the_place_for_the_earlier(folder: Path) -> None:
    (folder / "journeys" / "second.yaml").write_text(journey().replace("version: 1", "version: 2"))
    code, output = run(folder)
    assert code == 1
    assert f"already used at {folder}/journeys/one.yaml:1:10; keep version 1 in the folder earlier/ beside policy.yaml" in output


def test_v1_a_journey_without_a_live_version_is_being_wound_down(versions: Path) -> None:
    (versions / "journeys" / "one.yaml").unlink()
    code, output = run(versions)
    assert code == 0
    assert f"{versions}/earlier/one.yaml:1:10  ORC-197  warning: no version of 'j' takes entries" in output
    (versions / "journeys" / "growth" / "two.yml").unlink()
    assert [each.id for each in Workspace.load(versions).topology.earlier] == ["j"]  # the last journey of all, too


def test_v1_what_starts_or_excludes_a_journey_that_is_wound_down_is_told_so(versions: Path) -> None:
    (versions / "policy.yaml").write_text(POLICY + "exclusive: [{id: one, journeys: [j, two], on_conflict: refuse}]\n")
    (versions / "journeys" / "one.yaml").unlink()
    two = versions / "journeys" / "growth" / "two.yml"
    two.write_text(two.read_text().replace("{id: out, go: z}", "{id: next, start: {journey: j}}, {id: out, go: z}"))
    code, output = run(versions)
    assert code == 0
    assert f"{two}:8:33  ORC-197  warning: no version of 'j' takes entries any more, so this step starts nothing" in output
    assert "exclusive group" not in output


def test_v1_an_earlier_version_starts_only_what_is_there_and_no_loop_leads_through_it(versions: Path) -> None:
    kept, two = versions / "earlier" / "one.yaml", versions / "journeys" / "growth" / "two.yml"
    kept.write_text(journey().replace("{id: out, go: z}", "{id: next, start: {journey: two}}, {id: out, go: z}"))
    two.write_text(two.read_text().replace("{id: out, go: z}", "{id: next, start: {journey: j}}, {id: out, go: z}"))
    code, output = run(versions)  # two starts version 2 of j, which starts nothing
    assert code == 0
    assert "ORC-197" not in output
    kept.write_text(kept.read_text().replace("journey: two", "journey: tow"))
    code, output = run(versions)
    assert code == 1
    assert "there is no journey 'tow' to start; did you mean 'two'?" in output


@pytest.mark.parametrize("given", ["earlier", "earlier/one.yaml"])
def test_v1_earlier_files_given_alone_are_earlier_versions_still(versions: Path, given: str) -> None:
    code, output = run(versions / given)
    assert (code, output) == (0, "ok: 0 journeys, 0 states, 0 steps\n  earlier: j v1\n")


def test_v1_an_earlier_file_is_one_also_for_who_stands_in_its_folder(versions: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(versions / "earlier")
    assert run("one.yaml") == (0, "ok: 0 journeys, 0 states, 0 steps\n  earlier: j v1\n")
