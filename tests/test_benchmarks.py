"""The benchmarks that nothing else runs: that they are whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import w1
from benchmarks.w1 import kafka_streams
from tests.brokers import KafkaUnavailable


@pytest.mark.slow
def test_the_java_of_kafka_streams_compiles() -> None:
    try:
        classes = Path(kafka_streams.class_path().partition(":")[0])
    except KafkaUnavailable as error:
        pytest.skip(str(error))

    assert (classes / "w1" / "Main.class").is_file()


def test_kafka_streams_is_left_out_and_said_so_where_there_is_no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    said: list[str] = []

    names = [each.NAME for each in w1.those_here(said.append)]

    assert names == ["ours", "raw_loop"]
    assert said == ["  kafka_streams is left out: there is no java (17 or newer)"]
