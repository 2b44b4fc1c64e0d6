"""The channel service in Java: it compiles without a warning, passes `channel check`, and remembers over a crash."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.brokers import Broker, KafkaUnavailable, fill, read_to_end, unique
from tests.brokers.download import KAFKA_VERSION, cache, downloaded
from tests.contract.playing import played
from tests.house.tree import ROOT

EXAMPLE = ROOT / "examples" / "java"


@pytest.fixture(scope="module")
def class_path(tmp_path_factory: pytest.TempPathFactory) -> str:
    pom = EXAMPLE / "pom.xml"
    if not shutil.which("javac"):
        pytest.skip("there is no javac (17 or newer)")
    try:
        name = f"channel-service-{KAFKA_VERSION}-{hashlib.sha256(pom.read_bytes()).hexdigest()[:8]}"
        libraries = downloaded(cache().with_name(name), pom, "kafka-clients")
    except KafkaUnavailable as error:
        pytest.skip(str(error))
    classes = tmp_path_factory.mktemp("classes")
    command = ["javac", "-Xlint:all,-processing", "-Werror", "--release", "17", "-cp", f"{libraries}/*", "-d", str(classes)]
    done = subprocess.run([*command, str(EXAMPLE / "ChannelService.java")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"the example does not compile:\n{done.stderr}"
    return f"{classes}:{libraries}/*"


@contextmanager
def serving(class_path: str, broker: Broker, actions: str, outcomes: str, memory: Path) -> Iterator[None]:
    """Run the service until the block ends, then kill it as a crash would."""
    arguments = [broker.bootstrap, actions, outcomes, str(memory), str(ROOT / "schemas/avro")]
    with memory.with_suffix(".out").open("ab") as log:
        process = subprocess.Popen(["java", "-cp", class_path, "ChannelService", *arguments], stdout=log, stderr=log)
    try:
        yield
    finally:
        process.kill()
        process.wait(30)


def test_it_compiles(class_path: str) -> None:
    assert Path(class_path.partition(":")[0], "ChannelService.class").is_file()


@pytest.mark.long
def test_it_passes_the_check_and_carries_nothing_out_again_after_a_crash(class_path: str, kafka: Broker, tmp_path: Path) -> None:
    actions, outcomes, memory = unique("java-actions"), unique("java-outcomes"), tmp_path / "memory"
    for topic in (actions, outcomes):
        kafka.create_topic(topic, 4)
    with serving(class_path, kafka, actions, outcomes, memory):
        assert played(kafka, actions, outcomes) == set()
    done, reports = memory.read_text(), read_to_end(kafka.bootstrap, outcomes)
    assert done.count("\n") >= 5
    memory.write_text(f"{done}half a li")  # what a crash leaves
    commands = read_to_end(kafka.bootstrap, actions)
    fill(kafka.bootstrap, actions, [{"key": each.key, "value": each.value, "partition": each.partition} for each in commands])
    with serving(class_path, kafka, actions, outcomes, memory):
        deadline = time.monotonic() + 60
        while len(again := read_to_end(kafka.bootstrap, outcomes)) < 2 * len(reports):
            assert time.monotonic() < deadline, memory.with_suffix(".out").read_text()
            time.sleep(0.5)
    assert len(again) == 2 * len(reports), "what was done is reported again"
    assert memory.read_text() == done, "and not done again"
