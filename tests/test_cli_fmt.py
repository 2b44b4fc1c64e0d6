"""The `fmt` command: one layout, comments kept, meaning unchanged, a second run changes nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator import cli
from orchestrator.names import ExitCode
from orchestrator.operate.formatting import laid_out
from orchestrator.operate.scenarios.batch import find
from tests.house.tree import ROOT, name_of

FILES = [*sorted((ROOT / "topologies").rglob("*.yaml")), *find([ROOT / "tests" / "scenarios"])]
UNTIDY = b"""# what it is for
journey:   j   # its id
version: 1
entry: {on:   began,
        when: "event.n > 1" }   # at least two
states:
    s:
     steps:
       - {id: a, split: [{else: continue}]}
       # why
       -   id: b
           delay: 1d   \n
       - {id: c, set: {journey.on: 'yes', journey.n: 1.00, journey.t: 2026-01-05T00:00:00Z}}
"""
TIDY = """\
# what it is for
journey: j     # its id
version: 1
entry: {on: began, when: "event.n > 1"} # at least two
states:
  s:
    steps:
      - {id: a, split: [{else: continue}]}
       # why
      - id: b
        delay: 1d

      - {id: c, set: {journey.on: 'yes', journey.n: 1.00, journey.t: 2026-01-05T00:00:00Z}}
"""


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_files_of_the_repository_are_laid_out(path: Path) -> None:
    assert laid_out(path, path.read_bytes()) == path.read_text(encoding="utf-8")


def test_an_untidy_file_becomes_tidy_with_its_comments_and_stays_so(tmp_path: Path) -> None:
    text = laid_out(tmp_path / "j.yaml", UNTIDY)

    assert text == TIDY
    assert laid_out(tmp_path / "j.yaml", text.encode()) == text


@pytest.mark.parametrize(
    "instant", ["2026-01-06T00:59:59.999Z", "2026-01-06T00:59:59.100+10:00", "2026-01-06 00:59:59", "2026-01-06"]
)
def test_an_instant_stays_as_it_was_written(tmp_path: Path, instant: str) -> None:
    text = f"at: {instant} # then\nquoted: '{instant}'\n"

    assert laid_out(tmp_path / "j.yaml", text.encode()) == text


def test_check_changes_nothing_and_a_run_without_it_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "j.yaml"
    path.write_bytes(UNTIDY)

    assert cli.run(["fmt", "--check", str(tmp_path)]) == ExitCode.NO
    assert path.read_bytes() == UNTIDY
    assert cli.run(["fmt", str(tmp_path)]) == ExitCode.OK
    assert path.read_text() == TIDY
    assert cli.run(["fmt", "--check", str(path)]) == ExitCode.OK
    assert capsys.readouterr().out.splitlines()[-1] == "1 as they should be, 0 would change"
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_yaml_is_told_and_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "j.yaml"
    path.write_text("a: 1\na: 2\n")

    assert cli.run(["fmt", str(path)]) == ExitCode.NO
    assert f"{path}:2:1  ORC-106" in capsys.readouterr().err
    assert path.read_text() == "a: 1\na: 2\n"
    assert cli.run(["fmt", str(tmp_path / "nowhere")]) == ExitCode.USAGE


def test_the_shipped_folder_needs_no_change(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "topologies", tmp_path / "topologies")

    assert cli.run(["fmt", "--check", str(tmp_path / "topologies")]) == ExitCode.OK
