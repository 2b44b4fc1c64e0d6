"""Stages of the contract tests, and a bench, for tests that work inside the process."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.conftest import stage_on, stage_on_kafka
from tests.stream.bench import Bench

__all__ = ["stage_on", "stage_on_kafka"]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.close()
