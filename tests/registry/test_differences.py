"""`schemas diff --registry`: the files against the latest version of each subject, and what would break."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import Broker
from tests.brokers.apicurio import Apicurio
from tests.contract.stage import Stage
from tests.registry.test_with_kafka import registered, told

pytestmark = pytest.mark.kafka


@pytest.fixture
def stage(kafka: Broker, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(kafka, tmp_path, partitions=2)
    yield made
    made.close()


def test_b1_the_latest_version_of_each_subject_is_compared(stage: Stage, apicurio: Apicurio, capsys: Any) -> None:
    diff = ("schemas", "diff", "--registry")
    status, found = told(stage, apicurio, capsys, *diff)
    assert (status, {each["state"] for each in found["differences"]}) == (0, {"added"})
    assert told(stage, apicurio, capsys, "schemas", "register", "--execute")[0] == 0
    status, found = told(stage, apicurio, capsys, *diff)
    assert (status, found["against"], found["differences"]) == (0, "the registry", [])

    registered(stage, apicurio, more=[{"name": "shop", "type": ["null", "string"], "default": None}])
    status, found = told(stage, apicurio, capsys, *diff)
    (one,) = found["differences"]
    assert (status, one["type"], one["readable"]) == (0, f"{stage.events}-journeys.events.PurchaseMade", "yes")
    assert [tuple(each.values()) for each in one["changes"]] == [("shop", "removed", "null or string, default null", "")]


def test_b1_what_would_break_is_a_no_even_where_the_registry_takes_anything(
    stage: Stage, apicurio: Apicurio, capsys: Any
) -> None:
    other = [{"name": "event_id", "type": "int"}]
    registered(stage, apicurio, fields=other)
    status, found = told(stage, apicurio, capsys, "schemas", "diff", "--registry")
    (broken,) = [each for each in found["differences"] if each["readable"] == "no"]
    assert (status, broken["type"], broken["state"]) == (1, f"{stage.events}-journeys.events.PurchaseMade", "changed")
    assert ("event_id", "type", "int", "string") in [tuple(each.values()) for each in broken["changes"]]
    assert "event_id was int and is string" in json.dumps(broken["why"])
