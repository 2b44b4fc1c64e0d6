"""`orchestrator doctor` on a real Kafka: nothing wrong with a sound system, and each ailment found where it is."""

from __future__ import annotations

import json
import time
from typing import Any

from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from orchestrator.cli import run
from orchestrator.wire.partitioning import partition_for
from tests.brokers import fill
from tests.contract.conftest import MakeStage
from tests.contract.stage import Stage
from tests.contract.test_deadly_records import purchase
from tests.wire.messages import SCHEMAS


def outcome_of(customer: str) -> bytes:
    schema = SCHEMAS.get("action.outcome")
    assert schema is not None
    return schema.encode(customer, "o1", 1, {"action_id": "a", "status": "delivered", "code": None, "data": {}})


def examined(stage: Stage, capsys: Any) -> tuple[int, list[dict[str, Any]]]:
    capsys.readouterr()
    status = run(["doctor", "--json", "--topologies", str(stage.topologies), "--bootstrap-server", stage.broker.bootstrap])
    return status, json.loads(capsys.readouterr().out)


def sick(found: list[dict[str, Any]], result: str = "wrong") -> dict[tuple[str, str], str]:
    return {(each["check"], each["where"]): each["detail"] for each in found if each["result"] == result}


def test_a_sound_system_has_nothing_wrong_and_each_ailment_is_found(stage_on_kafka: MakeStage, capsys: Any) -> None:
    stage = stage_on_kafka(partitions=2)
    now = time.time_ns() // 1_000_000
    good = [{"key": b"c%d" % n, "value": purchase(f"c{n}", f"e{n}"), "timestamp": now} for n in range(20)]
    fill(stage.broker.bootstrap, stage.events, good)
    status, found = examined(stage, capsys)
    assert (status, sick(found)) == (0, {})
    assert ("records", stage.topology.streams.outcomes) in sick(found, "note"), "nobody has reported"
    assert any(each["detail"] == "20 purchase.made" for each in found)

    elsewhere = 1 - partition_for(b"ada", 2)
    fill(
        stage.broker.bootstrap,
        stage.events,
        [
            {"key": b"ada", "value": purchase("ada", "a1"), "timestamp": now, "partition": elsewhere},
            {"key": b"c1", "value": purchase("c1", "late"), "timestamp": now + 600_000},
            {"key": b"c1", "value": b"{}", "timestamp": now},
        ],
    )
    outcome = outcome_of("c1")
    fill(stage.broker.bootstrap, stage.topology.streams.outcomes, [{"key": b"c1", "value": outcome, "timestamp": now}])
    admin = AdminClient({"bootstrap.servers": stage.broker.bootstrap})
    change = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ConfigResource.Type.TOPIC, stage.topology.streams.outcomes, incremental_configs=[change])
    for done in admin.incremental_alter_configs([changed]).values():
        done.result(30)
    sms = stage.topology.policy.channels["sms"].topic
    admin.delete_topics([sms])[sms].result(30)
    stage.wait_until("the topic is gone", lambda: sms not in admin.list_topics(timeout=10).topics)

    status, found = examined(stage, capsys)
    assert status == 1
    wrong = sick(found)
    assert set(wrong) == {
        ("topic", sms),
        ("retention", stage.topology.streams.outcomes),
        ("partitioner", stage.events),
        ("clock", stage.events),
        ("records", stage.events),
    }
    assert f"first {elsewhere}/" in wrong["partitioner", stage.events]
    assert "by up to 600 s" in wrong["clock", stage.events] or "by up to 59" in wrong["clock", stage.events]
    assert wrong["records", stage.events].endswith("1 not_avro")
    assert "ada" not in json.dumps(found), "no customer is named"
    assert ("records", stage.topology.streams.outcomes) not in wrong, "what is wrong with one topic is not of the next"
    assert all(each["next_step"] for each in found if each["result"] != "ok")
