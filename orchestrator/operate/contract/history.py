"""Schemas as git has them: every version that was ever committed, and the files of one revision.

Asks the `git` that people have; no library, since nothing here goes beyond `log`, `ls-tree` and `cat-file`. Versions are found
by what stands in the files, not by their paths, so a file that was moved within the folder keeps its past. Blocks.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

SUFFIX: Final = ".avsc"

_TIMEOUT_S: Final = 60
# What git tells its hooks about the repository that it runs in: with it, `-C folder` would not mean that folder.
_OF_HOOKS: Final = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_OBJECT_DIRECTORY"}
)
_NOTHING: Final = "0"  # an object id of zeros only: the file was removed


class NoGit(Exception):
    """There is no history to look at; the text says why."""


class Version(Struct, frozen=True):
    """A file as a commit had it; `path` is relative to the folder that was asked about."""

    path: str
    commit: str
    date: str
    text: str

    @property
    def told(self) -> str:
        """The commit as messages name it."""
        return f"{self.commit[:10]} of {self.date}"


class History(Struct, frozen=True):
    """What git has of a folder, newest first. `is_shallow`: the clone does not reach back to the beginning."""

    versions: tuple[Version, ...]
    is_shallow: bool = False


def history(folder: Path, since: str = "") -> History:
    """Give every text that a schema file had in a commit that HEAD comes from, once, as of the last commit that brought it.

    `since` leaves out what had gone by that revision; what stood then counts. Raises NoGit where the folder is in no work tree,
    and where git does not know `since`.
    """
    shallow = _git(folder, "rev-parse", "--is-shallow-repository").decode().strip() == "true"
    if not _git(folder, "rev-list", "-n", "1", "--all"):
        return History(())
    reach = [f"{_commit(folder, since)}..HEAD"] if since else ["HEAD"]
    log = _git(
        folder, "log", "-m", "--raw", "--no-abbrev", "--no-renames", "--relative", "--format=>%H %cs", *reach, "--", "."
    ).decode("utf-8", "replace")
    found: dict[tuple[str, str], tuple[str, str]] = {}
    commit = date = ""
    for line in log.splitlines():
        if line.startswith(">"):
            commit, date = line[1:].split(" ")
        elif line.startswith(":") and line.endswith(SUFFIX):
            head, path = line.split("\t", 1)
            blob = head.split(" ")[3]
            if blob.strip(_NOTHING):
                found.setdefault((path, blob), (commit, date))
    texts = _texts(folder, {blob for _, blob in found})
    versions = [Version(path, *when, texts[blob]) for (path, blob), when in found.items() if blob in texts]
    return History((*versions, *(files_at(folder, since) if since else ())), shallow)


def files_at(folder: Path, revision: str) -> tuple[Version, ...]:
    """Give the schema files of a folder as a revision has them. Raises NoGit where git knows no such revision."""
    commit = _commit(folder, revision)
    date = _git(folder, "log", "-1", "--format=%cs", commit).decode().strip()
    rows = [
        row.split("\t", 1)
        for row in _git(folder, "ls-tree", "-r", "-z", commit, ".").decode("utf-8", "replace").split("\0")
        if row
    ]
    blobs = {path: head.split(" ")[2] for head, path in rows if path.endswith(SUFFIX)}
    texts = _texts(folder, set(blobs.values()))
    return tuple(Version(path, commit, date, texts[blob]) for path, blob in sorted(blobs.items()) if blob in texts)


def _commit(folder: Path, revision: str) -> str:
    return _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()


def _texts(folder: Path, blobs: Iterable[str]) -> Mapping[str, str]:
    """Read the contents of objects; what is no UTF-8 text is left out."""
    wanted = sorted(blobs)
    answer = _git(folder, "cat-file", "--batch", given="\n".join(wanted).encode() + b"\n") if wanted else b""
    found: dict[str, str] = {}
    at = 0
    while at < len(answer):
        end = answer.index(b"\n", at)
        name, kind, *size = answer[at:end].decode().split(" ")
        at = end + 1
        if kind == "blob":
            length = int(size[0])
            with contextlib.suppress(UnicodeDecodeError):
                found[name] = answer[at : at + length].decode()
            at += length + 1
    return found


def _git(folder: Path, *arguments: str, given: bytes = b"") -> bytes:
    command = ["git", "-C", str(folder), "-c", "core.quotePath=off", *arguments]
    around = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS} | {"LC_ALL": "C"}
    try:
        done = subprocess.run(command, input=given, capture_output=True, timeout=_TIMEOUT_S, check=False, env=around)
    except FileNotFoundError:
        raise NoGit("git is not installed") from None
    except subprocess.TimeoutExpired:
        raise NoGit(f"git did not answer in {_TIMEOUT_S} s") from None
    if done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        if "not a git repository" in (said[0] if said else ""):
            raise NoGit(f"{folder} is in no git work tree")
        raise NoGit(said[0].removeprefix("fatal: ") if said else f"git knows no such revision: {arguments[-1].partition('^')[0]}")
    return done.stdout
