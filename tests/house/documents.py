"""Commands in the documents, read and run, so that what a reader types works.

A fenced `console` or `bash` block is preceded by a comment that readers do not see:

    <!-- run -->                      every command must exit 0
    <!-- run: kafka -->               with a real Kafka, whose address takes the place of localhost:9092; `embedded` likewise
    <!-- run: exit=1 -->              the last command must exit with this status
    <!-- run: output -->              what the block shows must be what is printed: figures may differ, `...` stands for anything
    <!-- run: until="worker ready" --> a command that goes on: wait for this text, leave it running, end it after the document
    <!-- not run: reason -->

In a `console` block commands begin with `$ `, the other lines are output; in a `bash` block every line is a command. The blocks
of one document run in order in one folder, a copy of the repository: whatever a command changes, it changes there.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from tests.house.tree import ROOT

BROKER_IN_DOCUMENTS: Final = "localhost:9092"
TIMEOUT_S: Final = 180

# What a fresh clone does not have.
_NOT_CLONED: Final = shutil.ignore_patterns("build", "dist", "state", "__pycache__", ".git", ".*_cache", ".hypothesis", ".venv")

_FENCE: Final = re.compile(r"^```(console|bash)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"<!-- (run|not run)(?:: (.*?))? -->\s*\Z")


class Block(NamedTuple):
    """One fenced block: where it stands, what to run, what it shows, how (`options`), and if it is `skipped`, why."""

    document: str
    line: int
    commands: tuple[str, ...]
    shown: tuple[str, ...]
    options: Mapping[str, str]
    skipped: str | None


def blocks(document: str, text: str) -> list[Block]:
    """Every block of a document. Raises AssertionError for one that says neither how to run it nor why not."""
    found: list[Block] = []
    for fence in _FENCE.finditer(text):
        line = text.count("\n", 0, fence.start()) + 1
        comment = _COMMENT.search(text[: fence.start()])
        assert comment, f"{document}:{line}: put <!-- run --> or <!-- not run: reason --> before the block"
        how, words = comment.group(1), comment.group(2) or ""
        commands, shown = _split(fence.group(1), fence.group(2))
        if how == "not run":
            assert words, f"{document}:{line}: say why the block is not run"
            found.append(Block(document, line, commands, shown, {}, words))
        else:
            options = dict(word.partition("=")[::2] for word in shlex.split(words))
            assert options.keys() <= {"kafka", "embedded", "exit", "output", "until"}, (
                f"{document}:{line}: unknown option in {words!r}"
            )
            found.append(Block(document, line, commands, shown, options, None))
    return found


def _split(language: str, body: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Commands, with continued lines joined, and output."""
    lines = body.replace("\\\n", " ").splitlines()
    if language == "bash":
        return tuple(line for line in lines if line.strip() and not line.startswith("#")), ()
    commands = tuple(line.removeprefix("$ ") for line in lines if line.startswith("$ "))
    return commands, tuple(line for line in lines if not line.startswith("$ ") and line.strip())


def differences(shown: tuple[str, ...], printed: str) -> list[str]:
    """The shown lines that were not printed, in order; figures, runs of spaces and bar characters may differ."""
    left = [_normal(line) for line in printed.splitlines()]
    missing: list[str] = []
    for line in shown:
        pattern = re.compile(".*".join(map(re.escape, _normal(line).split("..."))))
        at = next((index for index, candidate in enumerate(left) if pattern.fullmatch(candidate)), None)
        if at is None:
            missing.append(line)
        else:
            del left[: at + 1]
    return missing


def _normal(line: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"\d[\d,.:]*", "0", line)).strip()


class Reader:
    """Somebody who types what a document says, in a folder that looks like a fresh clone after `make setup`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[str]] = []
        # Copied, not linked: `cp -r` copies a link as a link, and an edit of "the copy" would be one of the repository.
        shutil.copytree(ROOT, folder, ignore=_NOT_CLONED, dirs_exist_ok=True)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        for name in ("pyproject.toml", "uv.lock"):
            # Old, so that no `make` builds the environment anew: it would become one of this folder, which goes away.
            os.utime(folder / name, (0, 0))

    def follow(self, block: Block, bootstrap: str | None) -> None:
        """Type every command of the block; raises AssertionError with the output when one does not do what is said."""
        printed = ""
        for number, text in enumerate(block.commands):
            command = text.replace(BROKER_IN_DOCUMENTS, bootstrap) if bootstrap else text
            last = number == len(block.commands) - 1
            if last and "until" in block.options:
                self._leave_running(command, block.options["until"], bootstrap)
                return
            done = subprocess.run(
                ["bash", "-c", command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False, **self._place(bootstrap)
            )
            wanted = int(block.options.get("exit", 0)) if last else 0
            place = f"{block.document}:{block.line}: $ {command}"
            assert done.returncode == wanted, f"{place}\nexit {done.returncode}, not {wanted}\n{done.stdout}{done.stderr}"
            printed += done.stdout + done.stderr
        if "output" in block.options:
            missing = differences(block.shown, printed)
            assert not missing, (
                f"{block.document}:{block.line}: not printed any more:\n" + "\n".join(missing) + f"\n---\n{printed}"
            )

    def close(self) -> None:
        """End what was left running, as Ctrl-C does."""
        for process in self._running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def _leave_running(self, command: str, text: str, bootstrap: str | None) -> None:
        log = self._folder / f"running-{len(self._running)}.log"
        with log.open("w") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], stdout=out, stderr=subprocess.STDOUT, text=True, **self._place(bootstrap)
            )
        self._running.append(process)
        deadline = time.monotonic() + TIMEOUT_S
        while text not in log.read_text():
            assert process.poll() is None, f"$ {command}\nended with {process.returncode}:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"$ {command}\ndid not print {text!r} in {TIMEOUT_S} s:\n{log.read_text()}"
            time.sleep(0.05)

    def _place(self, bootstrap: str | None) -> dict[str, object]:
        """Where and with what commands run: no standard input, no terminal, the project's commands on the path."""
        environment = os.environ | {"PATH": f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}
        if bootstrap:
            environment["ORCHESTRATOR_BOOTSTRAP_SERVER"] = bootstrap
        return {"cwd": self._folder, "env": environment, "stdin": subprocess.DEVNULL, "start_new_session": True}
