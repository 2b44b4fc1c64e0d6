"""The Kafka that trusts nobody, one for all of these tests: a start of it takes seconds."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers.secured import SecuredKafka


@pytest.fixture(scope="session")
def secured(kafka_from_maven: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """A broker with TLS, SCRAM, OAuth and ACLs; principals are the test's own."""
    with SecuredKafka(tmp_path_factory.mktemp("secured")) as broker:
        yield broker


@pytest.fixture(autouse=True)
def no_settings_of_others(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """These tests' settings files are all that counts."""
    for variable in list(os.environ):
        if variable.startswith("ORCHESTRATOR_"):
            monkeypatch.delenv(variable)
