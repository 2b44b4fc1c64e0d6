"""The Dockerfile, and what is made of it: run as its user, with nothing writable but the state folder."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.brokers import Broker
from tests.contract.cdnow import some_purchases
from tests.contract.stage import Stage
from tests.deploy import container
from tests.deploy.container import DOCKERFILE, Container, Image, instructions, let_through
from tests.house.tree import ROOT

COMPOSE = YAML(typ="safe").load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))


def test_hadolint_has_nothing_to_say() -> None:
    done = subprocess.run([ROOT / ".venv/bin/hadolint", DOCKERFILE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_image_has_no_root_and_only_what_is_let_through() -> None:
    uid, _, gid = Image.read().user.partition(":")
    assert int(uid) >= 10_000
    assert int(gid) >= 10_000
    copied = [
        name for each in instructions(DOCKERFILE.read_text()) if each.word == "COPY" and not each.rest.startswith("--from")
        for name in each.rest.split()[:-1]
    ]  # fmt: skip
    assert set(copied) == set(let_through())
    assert all((ROOT / name).exists() for name in copied)


def test_the_image_is_built_with_the_uv_of_the_makefile() -> None:
    (of_make,) = re.findall(r"^UV := (uv==\S+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert f" {of_make}\n" in DOCKERFILE.read_text()


@pytest.fixture(scope="module")
def built() -> Iterator[Container]:
    """The image, in a folder that another user can get to."""
    if reason := container.why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    folder.chmod(0o755)
    try:
        image = Container(folder)
        image.build()
        yield image
    finally:
        shutil.rmtree(folder)


def test_the_list_of_what_is_inside_is_what_is_installed(built: Container) -> None:
    done = subprocess.run(["make", "--no-print-directory", "sbom"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    listed = {each["name"]: each["version"] for each in json.loads((ROOT / "build/sbom.json").read_text())["components"]}

    (site,) = (built.folder / "opt/lib").glob("python*/site-packages")
    found = {canonical(each.name): each.version for each in distributions(path=[str(site)])}
    del found["journey-orchestrator"]

    assert found.items() <= listed.items(), "nothing is inside that is not listed"
    assert "pytest" not in listed


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def probe(image: Container, log: Path, port: str) -> int:
    """The health check of compose, run in the container as Docker would."""
    _, *words = COMPOSE["services"]["worker-1"]["healthcheck"]["test"]
    words = [word.replace("9400", port) for word in words]
    return image.run(words[1:], entrypoint=words[:1], log=log).wait(60)


@pytest.mark.slow
def test_the_image_works_as_its_user_on_a_read_only_root(built: Container, kafka: Broker, tmp_path: Path) -> None:
    stage = Stage(kafka, built.folder, partitions=1)
    shutil.copytree(ROOT / "schemas", built.folder / "schemas")
    settings = {
        "ORCHESTRATOR_BOOTSTRAP_SERVER": kafka.bootstrap, "ORCHESTRATOR_TOPOLOGIES": str(stage.topologies),
        "ORCHESTRATOR_LOG_FORMAT": "json", "ORCHESTRATOR_HTTP_ADDRESS": "127.0.0.1:0",
    }  # fmt: skip
    log = tmp_path / "log"

    assert built.run(["config", "check"], log=log, **settings).wait(60) == 0, log.read_text()
    log.write_text("")
    worker = built.run(log=log, **settings)
    try:
        stage.wait_until("the worker is ready", lambda: worker.poll() is not None or '"worker_ready"' in log.read_text())
        (port,) = re.findall(r'"address": "127\.0\.0\.1:(\d+)"', log.read_text())
        count = stage.produce(some_purchases(500))
        stage.wait_until("every event is handled", lambda: stage.handled_records() == count)

        assert probe(built, tmp_path / "probe", port) == 0, (tmp_path / "probe").read_text()
        assert Path(f"/proc/{worker.pid}/status").read_text().split("Uid:")[1].split()[:4] == ["10001"] * 4
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0, log.read_text()
    finally:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
    assert probe(built, tmp_path / "probe", port) != 0, "nobody is there any more"


def test_nothing_but_the_state_folder_can_be_written(built: Container, tmp_path: Path) -> None:
    script = "touch /tmp/x || touch $HOME/x || touch /opt/x || touch ../x; touch here && id -u && cat /proc/self/status"
    log = tmp_path / "log"

    assert built.run(["-c", script], entrypoint=["sh"], log=log).wait(60) == 0, log.read_text()
    assert log.read_text().count("Read-only file system") + log.read_text().count("Permission denied") == 4
    assert re.search(r"^CapBnd:\s+0+$", log.read_text(), re.MULTILINE)
    assert (built.state / "here").exists()
