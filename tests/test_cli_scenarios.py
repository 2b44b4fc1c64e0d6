"""The `test` command from outside: exit codes, what is printed, JSON, JUnit, several processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.scenarios import write as write_many
from orchestrator import cli
from orchestrator.names import ExitCode
from orchestrator.operate.scenarios.batch import find, run_all
from tests import proc
from tests.operate.scenarios.stage import BEGAN, HEAD


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "good.scenario.yaml", "holds", "counts: {entered: 1}")
    write(tmp_path / "sub" / "bad.scenario.yaml", 'fails <&"', "actions: []")
    write(tmp_path / "sub" / "broken.scenario.yaml", "breaks", "actios: []")
    write(tmp_path / ".hidden" / "never.scenario.yaml", "hidden", "actions: []")
    return tmp_path


def write(path: Path, name: str, expect: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(HEAD.replace("a scenario", json.dumps(name)) + BEGAN + f"until: 3d\nexpect: {{{expect}}}\n")


def test_failures_are_shown_and_the_answer_is_no(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["test", str(folder)]) == ExitCode.NO

    out = capsys.readouterr().out
    assert 'FAILED  fails <&"\n' in out
    assert "this action is not listed" in out
    assert "BROKEN  broken.scenario.yaml\n" in out
    assert "did you mean 'actions'?" in out
    assert "hidden" not in out
    assert out.splitlines()[-1].startswith("1 passed, 1 failed, 1 broken in ")


def test_all_hold(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["test", str(folder / "good.scenario.yaml")]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("1 passed in ")


def test_k_chooses_by_name_and_by_path(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["test", str(folder), "-k", "HOLDS"]) == ExitCode.OK
    assert cli.run(["test", str(folder), "-k", "sub/bad"]) == ExitCode.NO
    assert cli.run(["test", str(folder), "-k", "nothing like it"]) == ExitCode.USAGE
    assert "no scenario has 'nothing like it'" in capsys.readouterr().err


def test_nothing_to_run_is_wrong_usage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["test", str(tmp_path)]) == ExitCode.USAGE
    assert cli.run(["test", str(tmp_path / "nowhere")]) == ExitCode.USAGE
    assert cli.run(["test", str(tmp_path), "--junit", str(tmp_path / "no" / "r.xml")]) == ExitCode.USAGE
    assert "ends in .scenario.yaml" in capsys.readouterr().err


def test_json_has_every_scenario_with_its_timeline(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["test", str(folder), "--json"]) == ExitCode.NO

    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["passed"], told["failed"], told["broken"]) == (False, 1, 1, 1)
    by_status = {each["status"]: each for each in told["scenarios"]}
    failure = by_status["failed"]["failures"][0]
    assert (failure["customer"], failure["message"]) == ("c1", "this action is not listed")
    assert any("began" in line for line in failure["lines"])
    assert "ORC-120" in by_status["broken"]["problems"][0]


def test_junit_is_xml_that_ci_reads(folder: Path) -> None:
    report = folder / "report.xml"
    assert cli.run(["test", str(folder), "--junit", str(report)]) == ExitCode.NO

    suite = ElementTree.parse(report).getroot().find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    cases = {case.get("name"): case for case in suite.iter("testcase")}
    assert set(cases) == {"holds", 'fails <&"', "broken.scenario.yaml"}
    assert "not listed" in str(cases['fails <&"'].find("failure").text)  # type: ignore[union-attr]


def test_several_processes_give_the_same_results_in_the_same_order(folder: Path) -> None:
    files = find([folder])
    one, two = ([(each.path, each.status) for each in run_all(files, processes=count)] for count in (1, 2))

    assert one == two
    assert len(one) == 3


def test_ctrl_c_ends_all_processes_and_says_how_far_it_came(tmp_path: Path) -> None:
    write_many(tmp_path, 1_000)
    command = [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n" + MAIN]
    with subprocess.Popen([*command, str(tmp_path)], stderr=subprocess.PIPE, start_new_session=True, text=True) as process:
        deadline = time.monotonic() + 60
        while not proc.children(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        started = proc.children(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)

    assert started
    assert process.returncode == ExitCode.INTERRUPTED
    assert re.fullmatch(r"interrupted: \d+ of 1000 scenarios were run\n", err)
    while any(Path(f"/proc/{child}").exists() for child in started):
        assert time.monotonic() < deadline, "a process was left behind"
        time.sleep(0.05)


MAIN = "import sys; from orchestrator import cli; sys.exit(cli.run(['test', *sys.argv[1:]]))"
