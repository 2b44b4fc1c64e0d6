"""Backtests: what a draft would have done, beside the live version and with what it takes from other journeys."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest

from orchestrator.cli import run
from orchestrator.operate.demo.dataset import purchases
from orchestrator.operate.demo.events import EventLine, write_lines
from tests.brokers import Broker
from tests.contract.cdnow import chosen
from tests.contract.conftest import _stages
from tests.contract.stage import SHIPPED
from tests.oracle.winback import expected_actions, read_purchases

DAY = 86_400_000
START = 1_767_571_200_000  # 2026-01-05T00:00:00Z
END = "1998-09-30T00:00:00Z"
END_MS = 907_113_600_000
ONE_IN = 40

POLICY = """
channels: {email: {topic: a.email}}
purposes: {care: {consent: not_required}}
caps: [{id: daily, channels: [email], limit: 1, per: 1d, over: skip}]
"""
JOURNEY = """
journey: %s
version: 1
purpose: care
priority: %d
entry: {on: purchase.made, reentry: always}
start: s
states:
  s:
    steps:
      - {id: mail, send: {channel: email, template: hello}}
      - {id: stop, end: {outcome: done}}
"""


def _backtest(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["backtest", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def _figure(rows: Sequence[dict[str, Any]], what: str, by: str = "") -> tuple[int, int]:
    return next(((row["live"], row["draft"]) for row in rows if (row["what"], row["by"]) == (what, by)), (0, 0))


def _draft(folder: Path, *changes: tuple[str, str]) -> str:
    text = (SHIPPED / "journeys" / "winback.yaml").read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "draft.yaml"
    path.write_text(text)
    return str(path)


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("backtest") / "purchases.jsonl"
    write_lines((line for line in purchases() if chosen(line.customer, ONE_IN)), path)
    return str(path)


def test_r3_the_live_side_is_what_the_oracle_expects_and_a_shorter_wait_sends_more(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, events: str
) -> None:
    draft = _draft(tmp_path, ("60d", "30d"), ("version: 1", "version: 2"))
    told = _backtest(capsys, draft, "--topologies", str(SHIPPED), "--events", events, "--to", END)
    expected = expected_actions((row for row in read_purchases() if chosen(row.customer, ONE_IN)), END_MS)
    for step in ("miss-you", "last-offer"):
        live, drafted = _figure(told["figures"], "sent", f"{step} (email)")
        assert live == sum(action.template == step for action in expected)
        assert drafted > live > 100
    assert (told["live_version"], told["draft_version"]) == (1, 2)
    assert sum(day["live_sends"] for day in told["days"]) == len(expected)
    assert told["others"] == []


def test_r3_the_same_journey_differs_in_nothing_and_the_window_only_counts(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, events: str
) -> None:
    where = (_draft(tmp_path), "--topologies", str(SHIPPED), "--events", events, "--to", END)
    whole = _backtest(capsys, *where)
    assert all(row["live"] == row["draft"] for row in whole["figures"])
    later = _backtest(capsys, *where, "--from", "1997-07-01T00:00:00Z")
    since = [day for day in whole["days"] if day["day"] >= "1997-07-01"]
    assert sum(day["live_sends"] for day in since) == sum(day["live_sends"] for day in later["days"]) > 0
    assert _figure(later["figures"], "entered")[0] < _figure(whole["figures"], "entered")[0]


def test_r3_what_a_draft_takes_from_another_journey_by_a_cap_is_told(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "topologies"
    (folder / "journeys").mkdir(parents=True)
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "journeys" / "thanks.yaml").write_text(JOURNEY % ("thanks", 50))
    (tmp_path / "draft.yaml").write_text(JOURNEY % ("offer", 90))
    lines = [
        EventLine(START + n * 2 * DAY, f"c{n % 5}", "purchase.made", f"e{n}", {"quantity": 1, "price": 5.0}) for n in range(20)
    ]
    write_lines(lines, tmp_path / "events.jsonl")
    told = _backtest(
        capsys, str(tmp_path / "draft.yaml"), "--topologies", str(folder), "--events", str(tmp_path / "events.jsonl")
    )
    assert told["live_version"] is None
    assert _figure(told["figures"], "sent", "mail (email)") == (0, 20)
    assert _figure(told["others"], "sent", "mail (email)") == (20, 0)
    assert _figure(told["others"], "suppressed", "cap") == (0, 20)
    assert {row["journey"] for row in told["others"]} == {"thanks"}


def test_r3_outcomes_are_assumed_by_seed_and_move_what_follows(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A bounced message gives its slot back, so that more are sent within the cap's day; nobody is sent a second one else."""
    folder = tmp_path / "topologies"
    (folder / "journeys").mkdir(parents=True)
    (folder / "policy.yaml").write_text(POLICY)
    (folder / "journeys" / "thanks.yaml").write_text(JOURNEY % ("thanks", 50))
    customers = range(200)
    lines = [
        EventLine(START + hour * 3_600_000, f"c{n}", "purchase.made", f"e{hour}-{n}", {"quantity": 1, "price": 5.0})
        for hour in (0, 2)
        for n in customers
    ]
    write_lines(lines, tmp_path / "events.jsonl")
    where = (
        str(folder / "journeys" / "thanks.yaml"), "--topologies", str(folder), "--events", str(tmp_path / "events.jsonl"),
    )  # fmt: skip
    half = ("--outcome", "email=delivered:0.5,bounced:0.5")
    usual, first, again, other = (
        _figure(_backtest(capsys, *where, *more)["figures"], "sent", "mail (email)")[1]
        for more in ((), half, half, (*half, "--seed", "1"))
    )
    assert usual == 200
    assert first == again
    assert 250 < first < 350
    assert 250 < other < 350
    bounced = _backtest(capsys, *where, "--outcome", "email=bounced:1")
    assert _figure(bounced["figures"], "sent", "mail (email)")[1] == 400
    assert "email: 100.0% bounced" in bounced["assumed"]
    assert run(["backtest", *where, "--outcome", "email=delivered:0.9,bounced:0.3"]) == 2
    assert run(["backtest", *where, "--outcome", "fax=delivered:1"]) == 2


def test_r3_the_page_is_whole_has_no_script_and_asks_for_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, events: str
) -> None:
    draft = _draft(tmp_path, ("60d", "30d"))
    path = tmp_path / "page.html"
    told = _backtest(capsys, draft, "--topologies", str(SHIPPED), "--events", events, "--to", END, "--html", str(path))
    text = path.read_text()
    found: list[tuple[str, dict[str, Any]]] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
            found.append((tag, dict(attrs)))

    Tags().feed(text)
    assert {tag for tag, _ in found} & {"script", "link", "img", "iframe"} == set()
    assert not re.search(r"(src|href)=|url\(|@import", text)
    curves = [attributes["points"] for tag, attributes in found if tag == "polyline"]
    assert len(curves) == 2
    assert curves[0] != curves[1]
    assert f"{_figure(told['figures'], 'sent', 'miss-you (email)')[1]:,}" in text


def test_r3_from_kafka_it_reads_what_was_committed_and_makes_no_producer(
    kafka: Broker, capsys: pytest.CaptureFixture[str], tmp_path: Path, events: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = _stages(kafka, tmp_path)
    stage = next(stages)(partitions=4)
    stage.produce(line for line in purchases() if chosen(line.customer, ONE_IN))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a backtest made a producer")

    monkeypatch.setattr(confluent_kafka, "Producer", refuse)
    monkeypatch.setattr("orchestrator.kafka.Producer", refuse)
    monkeypatch.setattr("orchestrator.kafka.admin", _only_reads)
    draft = _draft(tmp_path, ("60d", "30d"))
    where = ("--topologies", str(stage.topologies), "--bootstrap-server", kafka.bootstrap, "--to", END)
    from_kafka = _backtest(capsys, draft, *where)
    from_file = _backtest(capsys, draft, "--topologies", str(stage.topologies), "--events", events, "--to", END)
    assert from_kafka == from_file
    assert stage.actions() == []


def _only_reads(conf: Any) -> Any:
    """An admin client that knows how to look and nothing else."""

    class Looking:
        def __init__(self) -> None:
            self._client = confluent_kafka.admin.AdminClient(
                {name: each for name, each in conf.items() if name not in ("logger", "error_cb")}
            )

        def list_topics(self, **more: Any) -> Any:
            return self._client.list_topics(**more)

        def poll(self, timeout: float) -> int:
            return int(self._client.poll(timeout))

    return Looking()
