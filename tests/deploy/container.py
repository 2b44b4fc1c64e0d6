"""The image without Docker: what the Dockerfile says, done in a folder, and run as its user on a root that is read-only.

What is not the same: the base image's Python and system libraries are this machine's, and the network is.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.house.tree import ROOT

DOCKERFILE: Final = ROOT / "Dockerfile"
# A mount of its own keeps the state folder writable. Nothing else is: not even /tmp, which compose and the chart do give.
_CONFINE: Final = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
mount -o remount,bind,ro /
cd "$1"
shift
exec setpriv --reuid "$1" --regid "$2" --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all env -i "${@:3}"
"""


class Instruction(NamedTuple):
    word: str
    rest: str


def instructions(text: str) -> list[Instruction]:
    """A Dockerfile's instructions, continued lines joined, comments left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    joined = re.sub(r"\\\n\s*", " ", lines)
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


class Image(NamedTuple):
    """What the last stage says about how it is run."""

    environment: Mapping[str, str]
    entrypoint: Sequence[str]
    command: Sequence[str]
    user: str
    installs: Sequence[str]

    @classmethod
    def read(cls) -> Image:
        found = instructions(DOCKERFILE.read_text(encoding="utf-8"))
        last = found[max(at for at, each in enumerate(found) if each.word == "FROM") :]
        said = {each.word: each.rest for each in last}
        environment = dict(word.partition("=")[::2] for each in last if each.word == "ENV" for word in each.rest.split())
        installs = [each.rest for each in found if each.word == "RUN" and each.rest.startswith("uv ")]
        return cls(environment, json.loads(said["ENTRYPOINT"]), json.loads(said["CMD"]), said["USER"], installs)


def why_not() -> str:
    """Why no container can be imitated here, or an empty text."""
    if os.geteuid() != 0:
        return "only root may run something as another user on a read-only root"
    if not shutil.which("unshare") or not shutil.which("setpriv"):
        return "there is no unshare or setpriv (util-linux)"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode != 0:
        return "no mount namespace can be made here"
    return "" if python() else "there is no Python 3.11 or newer that another user may run"


def python() -> str:
    """A Python that any user may run."""
    for path in (Path(sysconfig.get_config_var("BINDIR") or "") / f"python{sys.version_info[0]}.{sys.version_info[1]}", *_SYSTEM):
        real = path.resolve()
        if real.exists() and all(each.stat().st_mode & stat.S_IXOTH for each in (real, *real.parents)) and _is_new(real):
            return str(path)
    return ""


_SYSTEM: Final = (Path("/usr/local/bin/python3"), Path("/usr/bin/python3"))


def _is_new(path: Path) -> bool:
    asked = [path, "-c", "import sys, venv; sys.exit(sys.version_info < (3, 11))"]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


class Container:
    """The image in a folder that everybody may read."""

    def __init__(self, folder: Path) -> None:
        self.image = Image.read()
        self.folder = folder
        self.state = folder / "state"
        self._opt = folder / "opt"

    def build(self) -> None:
        """Copy what .dockerignore lets through, then install as the Dockerfile does, but compile nothing."""
        uid, gid = map(int, self.image.user.split(":"))
        source = self.folder / "src"
        self.state.mkdir(parents=True)
        os.chown(self.state, uid, gid)
        for name in let_through():
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            copy(ROOT / name, source / name)
        settings = {
            "UV_PROJECT_ENVIRONMENT": str(self._opt), "UV_PYTHON": python(), "UV_PYTHON_DOWNLOADS": "never",
            "UV_LINK_MODE": "copy",
        }  # fmt: skip
        kept = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
        for line in self.image.installs:
            done = subprocess.run(
                [str(ROOT / ".venv/bin/uv"), *line.partition(" && ")[0].split()[1:]],
                cwd=source, env=kept | settings, capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, f"RUN {line}\n{done.stderr[-3000:]}"
        shutil.rmtree(source)

    def run(
        self, arguments: Sequence[str] | None = None, *, entrypoint: Sequence[str] | None = None, log: Path, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start it: the image's entry point and command unless others are given. The process is the command itself."""
        uid, gid = self.image.user.split(":")
        words = [*(entrypoint or self.image.entrypoint), *(self.image.command if arguments is None else arguments)]
        mapped = self.image.environment | {
            "PATH": f"{self._opt}/bin:/usr/local/bin:/usr/bin:/bin",
            "ORCHESTRATOR_STATE_DIR": str(self.state),
        }
        given = [f"{name}={value}" for name, value in {**mapped, **environment}.items()]
        with log.open("ab") as out:
            return subprocess.Popen(
                ["unshare", "--mount", "bash", "-c", _CONFINE, "confine", str(self.state), uid, gid, *given, *words],
                stdout=out, stderr=out, start_new_session=True,
            )  # fmt: skip


def let_through() -> list[str]:
    """The names that .dockerignore leaves in."""
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "*", "everything is left out but what is named"
    return [line[1:] for line in lines if line.startswith("!")]
