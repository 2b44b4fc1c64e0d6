"""Stages of the contract tests, and a bench, for tests that work inside the process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.conftest import MakeStage, stage_on, stage_on_kafka
from tests.stream.bench import Bench
from tests.stream.rig import Rig

__all__ = ["stage_on", "stage_on_kafka"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()


@pytest.fixture
def rig(stage_on_kafka: MakeStage, tmp_path: Path) -> Iterator[Rig]:
    made = Rig(stage_on_kafka(partitions=2), tmp_path / "state")
    yield made
    made.close()
