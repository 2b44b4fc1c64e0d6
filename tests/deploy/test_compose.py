"""docker-compose.yml: that Compose would take it, and that what it names is there. No Docker engine runs it here."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from orchestrator.cli import build
from orchestrator.operate.wiring import load_wiring
from orchestrator.settings import Settings
from tests.brokers.apicurio import API
from tests.brokers.apicurio import VERSION as APICURIO_VERSION
from tests.brokers.download import KAFKA_VERSION
from tests.deploy.container import Image
from tests.house.tree import ROOT

COMPOSE: dict[str, Any] = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: each for name, each in SERVICES.items() if each["image"].startswith("journey-orchestrator")}


def test_it_keeps_to_the_compose_specification() -> None:
    schema = json.loads((Path(__file__).parent / "vendored/compose-spec.json").read_text())
    jsonschema.validate(COMPOSE, schema)


def test_services_volumes_and_files_that_it_names_are_there() -> None:
    for name, each in SERVICES.items():
        assert set(each.get("depends_on", ())) <= set(SERVICES), name
        for volume in each.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], f"{name}: {source}"


def test_images_are_pinned_and_kafka_is_the_one_that_is_tested() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{KAFKA_VERSION}"
    assert all(re.search(r":v?\d+\.\d+", each["image"]) for name, each in SERVICES.items() if name not in OURS)


def test_our_containers_may_do_nothing_that_they_need_not() -> None:
    for name, each in OURS.items():
        assert each["read_only"] is True, name
        assert each["cap_drop"] == ["ALL"], name
        assert each["security_opt"] == ["no-new-privileges:true"], name


def test_ports_are_open_to_this_machine_only() -> None:
    assert all(port.startswith("127.0.0.1:") for each in SERVICES.values() for port in each.get("ports", ()))


def test_settings_and_commands_are_those_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    app = build()
    commands = {each.name for each in (*app.registered_groups, *app.registered_commands)}
    for name, each in OURS.items():
        with monkeypatch.context() as patch:
            for variable, value in {**Image.read().environment, **each.get("environment", {})}.items():
                patch.setenv(variable, str(value))
            Settings.load()
        if "entrypoint" not in each:
            (first, *_) = each.get("command", Image.read().command)
            assert first in commands, name


def test_workers_ask_the_registry_that_is_there_and_is_the_one_that_is_tested(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = SERVICES["registry"]
    assert registry["image"] == f"apicurio/apicurio-registry-mem:{APICURIO_VERSION}"
    (port,) = (each.rpartition(":")[2] for each in registry["ports"])
    for name in OURS.keys() & {"worker-1", "worker-2"}:
        assert SERVICES[name]["depends_on"]["registry"] == {"condition": "service_healthy"}
        with monkeypatch.context() as patch:
            for variable, value in SERVICES[name]["environment"].items():
                patch.setenv(variable, str(value))
            assert Settings.load().registry == {"url": f"http://registry:{port}{API}"}


def test_the_channels_of_the_demo_read_every_action_topic() -> None:
    wiring = load_wiring(ROOT / "topologies")
    command = SERVICES["channels"]["command"]
    asked = {value for option, value in itertools.pairwise(command) if option == "--actions"}
    assert asked == {channel.topic for channel in wiring.policy.channels.values()}
    assert command[command.index("--outcomes") + 1] == wiring.streams.outcomes


def test_prometheus_scrapes_every_worker() -> None:
    scraped = YAML(typ="safe").load((ROOT / "deploy/compose/prometheus.yml").read_text())["scrape_configs"][0]
    workers = {f"{name}:9400" for name in SERVICES if name.startswith("worker-")}
    assert set(scraped["static_configs"][0]["targets"]) == workers
    assert re.search(r".*journey-orchestrator.*", scraped["job_name"]), "the alerts look for this job"
