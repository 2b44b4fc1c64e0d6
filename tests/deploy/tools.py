"""Tools that no Python package brings, fetched once into a cache outside the tree: helm by Go, promtool out of Debian's package.

A test that needs one skips with the reason where it cannot be had. `python tests/deploy/tools.py` fetches both.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

HELM: Final = "v3.19.5"
KUBERNETES: Final = "1.34.0"  # the version that manifests are made for; helm without a cluster does not know one
_BUILD_S: Final = 900

Get = Callable[[], Path]


class ToolUnavailable(Exception):
    """The tool cannot be had here; the text says why."""


def helm() -> Path:
    """Helm, built if need be (two minutes of two cores, once). Raises ToolUnavailable."""
    return _kept(f"helm-{HELM}", _build_helm)


def promtool() -> Path:
    """Prometheus's checker of rules, from the path or from Debian's package. Raises ToolUnavailable."""
    found = shutil.which("promtool")
    return Path(found) if found else _kept("promtool", _unpack_promtool)


def _kept(name: str, make: Callable[[Path], Path]) -> Path:
    """The tool in the cache. Several processes may ask at the same time."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "journey-orchestrator"
    tool = cache / name
    if tool.exists():
        return tool
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tool.exists():
            with tempfile.TemporaryDirectory(dir=cache) as work:
                make(Path(work)).rename(tool)
    return tool


def _build_helm(work: Path) -> Path:
    if not shutil.which("go"):
        raise ToolUnavailable("there is no go to build helm with")
    _run(["go", "install", f"helm.sh/helm/v3/cmd/helm@{HELM}"], work, GOBIN=str(work), GOFLAGS="-mod=mod")
    return work / "helm"


def _unpack_promtool(work: Path) -> Path:
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        raise ToolUnavailable("there is no promtool, nor apt-get to fetch it with")
    _run(["apt-get", "download", "prometheus"], work)
    (package,) = work.glob("prometheus_*.deb")
    _run(["dpkg", "-x", package.name, "unpacked"], work)
    return work / "unpacked/usr/bin/promtool"


def _run(command: list[str], folder: Path, **environment: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, env=os.environ | environment, capture_output=True, text=True, timeout=_BUILD_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ToolUnavailable(f"{command[0]} did not end in {_BUILD_S} s") from error
    if done.returncode != 0:
        raise ToolUnavailable(f"{' '.join(command[:3])}: {done.stderr[-300:].strip()}")


if __name__ == "__main__":
    for get in (helm, promtool):
        try:
            print(f"{get.__name__}: {get()}")
        except ToolUnavailable as error:
            print(f"{get.__name__}: {error}; what needs it is skipped")
