"""Stages of the contract tests, a bench, and a registry, for tests that work inside the process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.stream import registry
from tests.contract.conftest import MakeStage, stage_on, stage_on_kafka
from tests.stream.bench import Bench
from tests.stream.rig import Rig
from tests.stream.stub import Stub

__all__ = ["stage_on", "stage_on_kafka"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stub]:
    """A registry; what it does not know is asked for again at once."""
    monkeypatch.setattr(registry, "_UNKNOWN_PAUSE_S", 0.01)
    made = Stub()
    yield made
    made.close()


@pytest.fixture
def rig(stage_on_kafka: MakeStage, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(stage_on_kafka(partitions=2), tmp_path / "state")
    yield made
    made.close()
