"""Alerts and dashboards: that they are about metrics there are, come when they should, and lead to what to do."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orchestrator.observe import metrics
from tests.house.tree import ROOT

CHART = ROOT / "deploy/helm/journey-orchestrator"
ALERTS = CHART / "files/alerts.yaml"
CASES = Path(__file__).with_name("alerts.test.yaml")
RULES: list[dict[str, Any]] = YAML(typ="safe").load(ALERTS.read_text())["groups"][0]["rules"]
# Not ours: of the process, of Prometheus itself, of Kubernetes.
OF_OTHERS = re.compile(r"^(process_|up$|kubelet_volume_stats_)")


def known() -> dict[str, set[str]]:
    """Every series that a worker's page has, with its labels."""
    found: dict[str, set[str]] = {}
    for each in metrics.described():
        suffixes = ("_bucket", "_count", "_sum") if each.kind == "histogram" else ("",)
        found |= {each.name + suffix: set(each.labels) | ({"le"} if suffix == "_bucket" else set()) for suffix in suffixes}
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """Each with where it stands."""
    yield from ((rule["alert"], rule["expr"]) for rule in RULES)
    for path in (CHART / "files/dashboards").glob("*.json"):
        for panel in json.loads(path.read_text())["panels"]:
            yield from ((f"{path.name}: {panel['title']}", target["expr"]) for target in panel.get("targets", ()))
    (questions,) = re.findall(r"^```promql\n(.*?)^```", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE | re.DOTALL)
    yield from (("docs/metrics.md", line) for line in questions.splitlines() if not line.startswith("#"))


def test_alerts_and_dashboards_name_metrics_and_labels_that_there_are() -> None:
    series = known()
    for place, text in expressions():
        names = set(re.findall(r"\b(?:orchestrator|process|kubelet)_\w+|\bup\b", text))
        assert names, place
        unknown = {name for name in names if name not in series and not OF_OTHERS.match(name)}
        assert not unknown, place
        labels = {"job", "instance", "persistentvolumeclaim"}.union(*(series.get(name, set()) for name in names))
        used = {word for group in re.findall(r"(?:by|on) \(([^)]*)\)", text) for word in re.split(r",\s*", group)}
        used |= set(re.findall(r"[{,]\s*(\w+)(?:=|!=|=~|!~)\"", text))
        assert used <= labels, place


def test_every_alert_says_what_why_and_what_to_do() -> None:
    headings = {line[3:] for line in (ROOT / "docs/alerts.md").read_text().splitlines() if line.startswith("## ")}
    assert headings == {rule["alert"] for rule in RULES}
    for rule in RULES:
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"docs/alerts.md#{rule['alert'].lower()}"


def judged(promtool: Path, folder: Path, rules: str) -> subprocess.CompletedProcess[str]:
    (folder / "alerts.yaml").write_text(rules)
    shutil.copy(CASES, folder)
    return subprocess.run(
        [promtool, "test", "rules", CASES.name], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def test_alerts_come_when_they_should(promtool: Path, tmp_path: Path) -> None:
    done = judged(promtool, tmp_path, ALERTS.read_text())
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("instead", ["vector(1) > 2", "vector(1)"], ids=["never", "always"])
def test_an_alert_that_never_or_always_comes_is_found(promtool: Path, tmp_path: Path, instead: str) -> None:
    """Also that each has a case of either kind."""
    yaml = YAML()
    rules = yaml.load(ALERTS.read_text())
    for rule in rules["groups"][0]["rules"]:
        rule["expr"] = instead
    with (tmp_path / "spoilt.yaml").open("w") as file:
        yaml.dump(rules, file)

    done = judged(promtool, tmp_path, (tmp_path / "spoilt.yaml").read_text())

    found = set(re.findall(r"alertname: ?(\w+)", done.stdout + done.stderr))
    assert found == {rule["alert"] for rule in RULES}, done.stdout + done.stderr


def test_the_dashboards_are_what_their_code_makes() -> None:
    spec = importlib.util.spec_from_file_location("dashboards", ROOT / "deploy/dashboards.py")
    assert spec and spec.loader
    code = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)

    written = {path.name: path.read_text() for path in (CHART / "files/dashboards").glob("*.json")}
    assert code.rendered() == written, "python deploy/dashboards.py"


def test_the_dashboards_ask_for_no_data_source_of_somebody() -> None:
    for path in (CHART / "files/dashboards").glob("*.json"):
        board = json.loads(path.read_text())
        sources = {json.dumps(panel["datasource"]) for panel in board["panels"] if "datasource" in panel}
        assert sources == {'{"type": "prometheus", "uid": "${datasource}"}'}
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))
