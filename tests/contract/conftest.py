"""Stages on either broker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.brokers import Broker
from tests.contract.stage import Stage

MakeStage = Callable[..., Stage]


def _stages(broker: Broker, tmp_path: Path) -> Iterator[MakeStage]:
    made: list[Stage] = []

    def make(**options: Any) -> Stage:
        folder = tmp_path / f"stage-{len(made)}"
        folder.mkdir()
        made.append(Stage(broker, folder, **options))
        return made[-1]

    yield make
    for stage in made:
        stage.close()


@pytest.fixture
def stage_on(broker: Broker, tmp_path: Path) -> Iterator[MakeStage]:
    """Makes stages on the embedded broker and on a real Kafka in turn."""
    yield from _stages(broker, tmp_path)


@pytest.fixture
def stage_on_kafka(kafka: Broker, tmp_path: Path) -> Iterator[MakeStage]:
    """Makes stages on a real Kafka only: what is proven with it holds nowhere else."""
    yield from _stages(kafka, tmp_path)
