"""`topics create`: the plan, what it says of a cluster, and what it makes there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient, ConfigResource

from orchestrator import cli, defaults
from orchestrator.errors import TopicMismatch
from orchestrator.language.model import Channel, EventTopic, Place, Policy, Streams
from orchestrator.names import ExitCode
from orchestrator.operate.topics import Planned, TopicOptions, TopicSpec, mismatch, plan
from orchestrator.operate.wiring import load_wiring
from tests.brokers.choice import Broker
from tests.brokers.topics import unique

HERE = Place("x", 1, 1)
STREAMS = Streams(app="shop", partitions=3, events=(EventTopic("events", HERE),))


def channels(**topics: str) -> Policy:
    return Policy(channels={name: Channel(name, topic, HERE) for name, topic in topics.items()})


def by_name(specs: list[TopicSpec]) -> dict[str, TopicSpec]:
    return {spec.name: spec for spec in specs}


def test_the_plan_has_every_topic_of_the_topology_once() -> None:
    specs = plan(STREAMS, channels(email="mail", letter="mail", sms="sms"))
    assert [(spec.name, spec.partitions, spec.purpose) for spec in specs] == [
        ("events", 3, "events"),
        ("journeys.outcomes", 3, "outcomes"),
        ("journeys-operations", 3, "operations"),
        ("mail", 3, "actions"),
        ("sms", 3, "actions"),
        ("journeys.transitions", 3, "decisions"),
        ("journeys.incidents", 3, "incidents"),
        ("shop-exports", 3, "exports of customers"),
        ("shop-customers-changelog", 3, "changelog"),
        ("shop-journal", 3, "journal"),
        ("journeys.definitions", 1, "definitions"),
        ("shop-audit", 1, "audit"),
    ]


def test_what_must_outlive_retention_does() -> None:
    specs = by_name(plan(STREAMS, channels()))
    assert specs["shop-customers-changelog"].config["cleanup.policy"] == "compact"
    assert specs["shop-journal"].config["cleanup.policy"] == "compact"
    assert specs["journeys.definitions"].config["cleanup.policy"] == "compact"
    assert specs["journeys.incidents"].config == {"retention.ms": "-1"}, "incidents have the time of old records"
    assert specs["events"].config == {}, "the broker's own"


def test_three_copies_of_which_two_must_have_a_write_outlive_a_broker() -> None:
    assert all(spec.config["min.insync.replicas"] == "2" for spec in plan(STREAMS, channels(), TopicOptions(3)))
    assert plan(STREAMS, channels(), TopicOptions(2)) == plan(STREAMS, channels())


def test_options_change_retention_and_the_journal() -> None:
    specs = by_name(plan(STREAMS, channels(email="mail"), TopicOptions(retention_ms=-1, journal_policy="delete")))
    assert {specs[name].config["retention.ms"] for name in ("events", "mail", "journeys.transitions", "shop-journal")} == {"-1"}
    assert specs["shop-journal"].config["cleanup.policy"] == "delete"


def test_the_shipped_topology_can_be_planned() -> None:
    wiring = load_wiring(defaults.TOPOLOGIES)
    specs = plan(wiring.streams, wiring.policy)
    assert {channel.topic for channel in wiring.policy.channels.values()} <= by_name(specs).keys()


def test_only_a_wrong_partition_count_is_a_mismatch() -> None:
    spec = TopicSpec("events", 3, "events", {"retention.ms": "-1"})
    assert mismatch([Planned(spec, "exists", 3, {"retention.ms": "5"}), Planned(spec, "create")]) is None
    found = mismatch([Planned(spec, "MISMATCH", 4)])
    assert isinstance(found, TopicMismatch)
    assert "events has 4 partitions instead of 3" in str(found)


def topology(folder: Path, partitions: int) -> Path:
    """A topology of its own, whose topics nobody else uses."""
    name = unique("t")
    (folder / "streams.yaml").write_text(
        f"app: {name}\npartitions: {partitions}\nevents:\n  - topic: {name}.events\noutcomes: {name}.outcomes\n"
        f"transitions: {name}.transitions\nincidents: {name}.incidents\ndefinitions: {name}.definitions\n"
    )
    (folder / "policy.yaml").write_text(f"channels:\n  email: {{topic: {name}.email}}\n")
    return folder


def create(folder: Path, bootstrap: str, *more: str) -> int:
    return cli.run(["topics", "create", "--topologies", str(folder), "--bootstrap-server", bootstrap, *more])


def test_topics_are_planned_made_and_then_there(kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = topology(tmp_path, 3)
    specs = plan(*(load_wiring(folder).streams, load_wiring(folder).policy))
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})

    assert create(folder, kafka.bootstrap) == ExitCode.OK
    assert "11 to create. Nothing was done" in capsys.readouterr().err
    assert not {spec.name for spec in specs} & admin.list_topics(timeout=10).topics.keys()

    assert create(folder, kafka.bootstrap, "--execute", "--replication-factor", "1") == ExitCode.OK
    assert "11 created." in capsys.readouterr().err
    topics = admin.list_topics(timeout=10).topics
    assert {spec.name: len(topics[spec.name].partitions) for spec in specs} == {spec.name: spec.partitions for spec in specs}
    resource = ConfigResource(ConfigResource.Type.TOPIC, load_wiring(folder).streams.changelog)
    assert admin.describe_configs([resource])[resource].result()["cleanup.policy"].value == "compact"

    assert create(folder, kafka.bootstrap, "--execute", "--json") == ExitCode.OK
    shown = json.loads(capsys.readouterr().out)
    assert {each["state"] for each in shown["topics"]} == {"exists"}
    assert not any(each["drift"] for each in shown["topics"])


def test_a_wrong_partition_count_is_refused_and_nothing_is_made(
    kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = topology(tmp_path, 3)
    streams = load_wiring(folder).streams
    kafka.create_topic(streams.events[0].topic, 5)
    assert create(folder, kafka.bootstrap, "--execute") == ExitCode.REFUSED
    captured = capsys.readouterr()
    assert "MISMATCH" in captured.out
    assert "has 5 partitions instead of 3" in captured.err
    assert streams.journal not in AdminClient({"bootstrap.servers": kafka.bootstrap}).list_topics(timeout=10).topics


def test_settings_that_differ_are_told_and_left(kafka: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = topology(tmp_path, 2)
    changelog = load_wiring(folder).streams.changelog
    kafka.create_topic(changelog, 2, cleanup_policy="delete")
    assert create(folder, kafka.bootstrap) == ExitCode.OK
    assert f"note: {changelog} has cleanup.policy=delete; it is left as it is" in capsys.readouterr().err


def test_a_broker_that_is_down_is_said_to_be_and_the_exit_is_3(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = topology(tmp_path, 2)
    assert create(folder, "127.0.0.1:1", "--set", "connect_timeout_s=2.5") == ExitCode.UNREACHABLE
    said = capsys.readouterr().err
    assert "does not answer" in said
    assert "ORC-003" in said
    assert "Traceback" not in said


def test_a_folder_without_streams_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert create(tmp_path, "127.0.0.1:1") == ExitCode.USAGE
    assert "no streams.yaml there" in capsys.readouterr().err


def test_wrong_streams_are_told_with_their_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "streams.yaml").write_text("app: shop\npartitons: 3\nevents: []\n")
    assert create(tmp_path, "127.0.0.1:1") == ExitCode.NO
    said = capsys.readouterr().err
    assert "streams.yaml:2:1" in said
    assert "partitions" in said
