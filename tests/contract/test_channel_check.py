"""`orchestrator channel check` on a real Kafka: the example service passes, and each way to get it wrong is found."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.brokers import Broker, unique
from tests.contract.playing import played

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "examples" / "channel_service.py").read_text()

# What is changed in the example, and the cases that must find it.
MISTAKES: dict[str, tuple[str, str, set[str]]] = {
    "none": ("", "", set()),
    "reads what is not committed": ("read_committed", "read_uncommitted", {"an aborted transaction"}),
    "knows no command again": (
        'f"outcome-{command[\'action_id\']}-{command[\'attempt\']}"', 'f"{time.monotonic_ns()}"',
        {"a command that comes twice"},
    ),
    "takes an attempt for a repeat": ("-{command['attempt']}", "", {"a second attempt"}),
    "does not look at the clock": ('<= datetime.now(UTC)', '<= datetime.min.replace(tzinfo=UTC)', {"an expired command"}),
    "takes a cancel for a send": (
        'return None  # it has gone out already', 'return "delivered", None  # it has gone out already', {"a cancel"},
    ),
    "hashes as librdkafka does": ("murmur2_random", "consistent", {"every report"}),
    "reports JSON": ("OUTCOME_FRAME + body.getvalue()", 'b"{}"', {"every report"}),
}  # fmt: skip


def faults(folder: Path, broker: Broker, mistake: str) -> set[str]:
    """Start the service with a mistake, check it, and give the cases that found something."""
    old, new, _ = MISTAKES[mistake]
    assert old in EXAMPLE, mistake
    service = folder / f"{mistake.replace(' ', '-')}.py"
    schemas = f'Path("{ROOT}") / "schemas" / "avro"'
    text = EXAMPLE.replace('Path(__file__).parents[1] / "schemas" / "avro"', schemas)
    service.write_text(text.replace(old, new) if old else text)
    actions, outcomes = unique("check-actions"), unique("check-outcomes")
    for topic in (actions, outcomes):
        broker.create_topic(topic, 4)
    arguments = [broker.bootstrap, actions, "--outcomes-topic", outcomes, "--database", f"{service}.sqlite"]
    with (folder / f"{service.stem}.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, str(service), *arguments], stdout=log, stderr=log)
    try:
        return played(broker, actions, outcomes)
    finally:
        process.kill()
        process.wait(30)


def test_the_example_passes_and_each_mistake_is_found(kafka: Broker, tmp_path: Path) -> None:
    with ThreadPoolExecutor(len(MISTAKES)) as threads:
        runs = {mistake: threads.submit(faults, tmp_path, kafka, mistake) for mistake in MISTAKES}
    for mistake, (_, _, expected) in MISTAKES.items():
        found = runs[mistake].result()
        if mistake == "reports JSON":
            assert "every report" in found
        else:
            assert found == expected, mistake
