"""A real Apicurio for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.brokers import KafkaUnavailable
from tests.brokers.apicurio import Apicurio
from tests.report import REQUIRE_KAFKA


@pytest.fixture(scope="session")
def apicurio() -> Iterator[Apicurio]:
    """The registry, shared by the tests here: subjects are told apart by their topics' unique names."""
    try:
        registry = Apicurio().__enter__()
    except KafkaUnavailable as error:
        if os.environ.get(REQUIRE_KAFKA) == "1":
            pytest.fail(f"{REQUIRE_KAFKA}=1, but {error}", pytrace=False)
        pytest.skip(f"no registry: {error}")
    yield registry
    registry.__exit__()
