"""Stages of the contract tests, for tests that work inside the process."""

from tests.contract.conftest import stage_on, stage_on_kafka

__all__ = ["stage_on", "stage_on_kafka"]
