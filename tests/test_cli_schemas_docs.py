"""`schemas docs`: a page for each type, the same each time, with what the schema, the topology and git say of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import run
from tests.test_cli_schemas import change, clone, commit, committed, field, git

__all__ = ["clone", "committed"]  # fixtures

DOCS = ["schemas", "docs"]
CSAT = "events/csat.submitted.avsc"


def page(capsys: pytest.CaptureFixture[str], event_type: str, *options: str) -> list[str]:
    capsys.readouterr()
    assert run([*DOCS, "--type", event_type, *options]) == 0
    return capsys.readouterr().out.splitlines()


def row(lines: list[str], first: str) -> list[str]:
    """The cells of the row that begins with this one."""
    (line,) = [each for each in lines if each.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split(" | ")]


def section(lines: list[str], title: str) -> list[str]:
    after = lines[lines.index(f"## {title}") + 1 :]
    end = next((n for n, line in enumerate(after) if line.startswith("## ")), len(after))
    return [line for line in after[:end] if line]


def test_a_field_is_told_with_the_journeys_that_use_it(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = page(capsys, "payment.failed")
    assert lines[0] == "# payment.failed"
    doc = "Which try of this payment it was, from 1."
    assert row(lines, "`attempt`") == ["`attempt`", "`int`", "`1`", doc, "`onboarding` v1 (on); `payment-recovery` v1 (on)"]
    assert row(lines, "`customer_id`")[-1] == "", "nobody reads it as a field"
    assert section(lines, "Who sends it") == ["Whoever may write to `customer.events`, as streams.yaml says."]
    heard = section(lines, "Who hears it")
    assert {line.split("`")[1] for line in heard} == {"onboarding", "payment-recovery"}
    assert any("entry" in line for line in heard)


def test_what_a_journey_no_longer_reads_is_gone_from_the_page(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (clone / "topologies/journeys/payment-recovery.yaml").unlink()
    lines = page(capsys, "payment.failed")
    assert "`payment-recovery`" not in "\n".join(lines)
    assert "onboarding" in row(lines, "`amount`")[-1]
    streams = clone / "topologies/streams.yaml"
    streams.write_text(streams.read_text().replace("      - csat.submitted\n", ""))
    assert section(page(capsys, "csat.submitted"), "Who sends it") == ["Nobody: no topic of streams.yaml carries it."]


def test_free_names_and_what_the_orchestrator_writes_have_pages(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert row(page(capsys, "profile.updated"), "`email`") == ["`email`", "`string`", "policy.yaml (address)"]
    lines = page(capsys, "journeys.Action")
    (sender,) = section(lines, "Who sends it")
    assert "`journeys.actions.email`" in sender
    assert "## Who hears it" not in lines
    assert section(page(capsys, "journeys.Journal"), "Who sends it") == ["The orchestrator, to `journeys-journal`."]


def test_text_that_markdown_would_take_for_its_own_stays_text(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = {**field("odd", "string", default="`|"), "doc": "One | two\n<b>three</b> & four."}
    change(clone, CSAT, lambda schema: schema["fields"].append(odd))
    (line,) = [each for each in page(capsys, "csat.submitted") if each.startswith("| `odd`")]
    assert line == '| `odd` | `string` | `` "`\\|" `` | One \\| two &lt;b>three&lt;/b> &amp; four. |  |'


def test_versions_are_those_of_git_and_of_files(committed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = git(committed, "rev-parse", "HEAD")[:10]

    def next_version(schema: dict[str, Any]) -> None:
        schema["event_version"] = "1.1"
        schema["fields"].append(field("shop", "string", default=""))

    change(committed, CSAT, next_version)
    lines = page(capsys, "csat.submitted")
    assert row(lines, "1.1")[-2:] == ["not yet", "yes"]
    commit(committed)
    change(committed, CSAT, lambda schema: schema.update(doc="Other."))
    commit(committed)
    lines = page(capsys, "csat.submitted")
    new, old = row(lines, "1.1"), row(lines, "1.0")
    assert new[2].startswith(git(committed, "rev-parse", "HEAD~1")[:10]), "the commit that brought it, not the last one"
    assert (old[2].split()[0], old[3]) == (first, "no")
    assert section(lines, "Versions")[2:] == [f"| {' | '.join(new)} |", f"| {' | '.join(old)} |"], "newest first"
    assert "Committed first" not in "\n".join(page(capsys, "csat.submitted", "--no-git"))


def test_without_git_that_is_said_and_the_files_are_told(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*DOCS, "--type", "payment.failed"]) == 0
    said = capsys.readouterr()
    assert "is in no git work tree" in said.err
    assert [line.split(" | ")[0] for line in section(said.out.splitlines(), "Versions")[2:]] == ["| 1.2", "| 1.1"]
    assert run([*DOCS, "--no-git"]) == 0
    assert capsys.readouterr().err == ""


def test_a_folder_gets_a_page_a_type_and_only_what_changed_is_written_again(
    committed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run([*DOCS, "--output", "deep/pages", "--no-git"]) == 0
    pages = committed / "deep/pages"
    files = {path.stem for path in committed.glob("schemas/avro/events/*.avsc")}
    outputs = {f"journeys.{path.stem}" for path in committed.glob("schemas/avro/journeys/*.avsc")}
    assert {path.name for path in pages.iterdir()} == {f"{name}.md" for name in files | outputs}
    before = {path.name: path.read_bytes() for path in pages.iterdir()}
    assert f"{len(before)} pages written to deep/pages, 0 were" in capsys.readouterr().err

    shutil.copytree(committed, committed.parent / "elsewhere")
    monkeypatch.chdir(committed.parent / "elsewhere")
    change(committed.parent / "elsewhere", CSAT, lambda schema: schema.update(doc="Other."))
    assert run([*DOCS, "--output", "deep/pages", "--no-git", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["written"] == 1, "the others are the same, wherever the files lie"
    differ = {each["file"] for each in found["pages"] if each["markdown"].encode() != before[each["file"]]}
    assert differ == {"csat.submitted.md"}


def test_what_cannot_be_done_is_said(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*DOCS, "--type", "payment.faild"]) == 2
    assert "did you mean payment.failed?" in capsys.readouterr().err
    (clone / "pages").write_text("")
    assert run([*DOCS, "--output", "pages/of/types"]) == 2
    assert "cannot write the page" in capsys.readouterr().err
    change(clone, "events/payment.failed.avsc", lambda schema: schema.pop("event_version"))
    assert run(DOCS) == 1


def test_a_shallow_clone_does_not_pass_for_the_whole_past(
    committed: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    change(committed, CSAT, lambda schema: schema.update(doc="Other."))
    commit(committed)
    git(committed, "clone", "-q", "--depth", "1", f"file://{committed}", "shallow")
    monkeypatch.chdir(committed / "shallow")
    assert run([*DOCS, "--type", "csat.submitted"]) == 0
    assert "git fetch --unshallow" in capsys.readouterr().err
