"""Tools, each a fixture that skips with the reason where it cannot be had."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy import tools


@pytest.fixture(scope="session")
def helm() -> Path:
    """Helm itself."""
    return _or_skip(tools.helm)


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Prometheus's checker of rules."""
    return _or_skip(tools.promtool)


def _or_skip(get: tools.Get) -> Path:
    try:
        return get()
    except tools.ToolUnavailable as error:
        pytest.skip(str(error))
