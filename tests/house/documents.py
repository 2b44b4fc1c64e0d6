"""Commands and YAML in the documents, read and tried, so that what a reader types works.

A fenced `console`, `bash` or `yaml` block is preceded by a comment that readers do not see. For commands:

    <!-- run -->                      every command must exit 0
    <!-- run: kafka -->               with a real Kafka, whose address takes the place of localhost:9092; `embedded` likewise
    <!-- run: exit=1 -->              the last command must exit with this status
    <!-- run: output -->              what the block shows must be what is printed: figures may differ, `...` stands for anything
    <!-- run: until="worker ready" --> a command that goes on: wait for this text, leave it running, end it after the document
    <!-- run: broker until="..." -->   the same, and what is printed is the address for the blocks that follow
    <!-- not run: reason -->

For YAML, and for any other fence that is a file:

    <!-- check: steps -->              tests/house/examples.py says what kinds there are and how each is checked
    <!-- check: steps code=ORC-127 --> it must be refused, with this code
    <!-- file: my/events.jsonl -->     the reader writes it to this path
    <!-- not checked: reason -->

In a `console` block commands begin with `$ `, the other lines are output; in a `bash` block every line is a command. The blocks
of one document run in order in one folder, a copy of the repository: whatever a command changes, it changes there. A document
with the line `<!-- reader: an empty folder -->` gets one.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from tests.house import examples
from tests.house.tree import ROOT

BROKER_IN_DOCUMENTS: Final = "localhost:9092"
TIMEOUT_S: Final = 180

# What a fresh clone does not have.
_NOT_CLONED: Final = shutil.ignore_patterns("build", "dist", "state", "__pycache__", ".git", ".*_cache", ".hypothesis", ".venv")

IN_AN_EMPTY_FOLDER: Final = "<!-- reader: an empty folder -->"

_FENCE: Final = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_COMMENT: Final = re.compile(r"<!-- (run|not run|check|not checked|file)(?:: (.*?))? -->\s*\Z")
_MARKS: Final[Mapping[str, tuple[str, ...]]] = {
    "console": ("run", "not run"), "bash": ("run", "not run"), "yaml": ("check", "not checked", "file"),
}  # fmt: skip
_OPTIONS: Final = frozenset({"kafka", "embedded", "broker", "exit", "output", "until"})
_CODE: Final = re.compile(r" code=(ORC-\d{3})$")


class Block(NamedTuple):
    """One fenced block: where it stands, how it is tried (`mark`), and if it is `skipped`, why.

    Commands have what to run, what it shows, and `options`; other blocks their `body`, and in `options` kind and code, or path.
    """

    document: str
    line: int
    commands: tuple[str, ...]
    shown: tuple[str, ...]
    options: Mapping[str, str]
    skipped: str | None
    mark: str = "run"
    body: str = ""


def blocks(document: str, text: str) -> list[Block]:
    """Every block of a document. Raises AssertionError for one that says neither how to try it nor why not."""
    found: list[Block] = []
    for fence in _FENCE.finditer(text):
        language, body = fence.groups()
        line = text.count("\n", 0, fence.start()) + 1
        comment = _COMMENT.search(text[: fence.start()])
        marks = _MARKS.get(language, ("file",))
        if comment is None and language not in _MARKS:
            continue
        place = f"{document}:{line}"
        assert comment and comment.group(1) in marks, f"{place}: put <!-- {' or '.join(marks)}: ... --> before the block"
        found.append(
            _block(Block(document, line, (), (), {}, None, comment.group(1), body), language, comment.group(2) or "", place)
        )
    return found


def _block(bare: Block, language: str, words: str, place: str) -> Block:
    if language in {"console", "bash"}:
        commands, shown = _split(language, bare.body)
        bare = bare._replace(commands=commands, shown=shown)
    if bare.mark in {"not run", "not checked"}:
        assert words, f"{place}: say why the block is {bare.mark}"
        return bare._replace(skipped=words)
    if bare.mark == "file":
        assert words and not Path(words).is_absolute() and ".." not in words, (
            f"{place}: say which file, below the reader's folder"
        )
        return bare._replace(options={"path": words})
    if bare.mark == "check":
        code = _CODE.search(words)
        kind = _CODE.sub("", words)
        assert kind in examples.KINDS, f"{place}: {kind!r} is none of {', '.join(sorted(examples.KINDS))}"
        return bare._replace(options={"kind": kind, "code": code.group(1) if code else ""})
    options = dict(word.partition("=")[::2] for word in shlex.split(words))
    assert options.keys() <= _OPTIONS, f"{place}: unknown option in {words!r}"
    return bare._replace(options=options)


def policy_of(found: Iterable[Block]) -> str:
    """The policy that a document's journeys are checked with: its first whole one, "" for none."""
    return next((block.body for block in found if block.options.get("kind") == "policy" and not block.options["code"]), "")


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

    def __init__(self, folder: Path, *, is_empty: bool = False) -> None:
        self._folder = folder
        self._running: list[subprocess.Popen[str]] = []
        self._broker: str | None = None
        if is_empty:
            return
        # Copied, not linked: `cp -r` copies a link as a link, and an edit of "the copy" would be one of the repository.
        shutil.copytree(ROOT, folder, ignore=_NOT_CLONED, dirs_exist_ok=True)
        (folder / ".venv").symlink_to(ROOT / ".venv")
        for name in ("pyproject.toml", "uv.lock"):
            # Old, so that no `make` builds the environment anew: it would become one of this folder, which goes away.
            os.utime(folder / name, (0, 0))

    def follow(self, block: Block, bootstrap: str | None) -> None:
        """Type every command of the block, or write its file; raises AssertionError when a command does not do what is said."""
        if block.mark == "file":
            path = self._folder / block.options["path"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.body, encoding="utf-8")
            return
        bootstrap = bootstrap or self._broker
        printed = ""
        for number, text in enumerate(block.commands):
            command = text.replace(BROKER_IN_DOCUMENTS, bootstrap) if bootstrap else text
            last = number == len(block.commands) - 1
            if last and "until" in block.options:
                log = self._leave_running(command, block.options["until"], bootstrap)
                if "broker" in block.options:
                    self._broker = log.splitlines()[-1]
                return
            done = _run(command, self._place(bootstrap))
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
        for process in reversed(self._running):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if process.stdin:
                process.stdin.close()

    def _leave_running(self, command: str, text: str, bootstrap: str | None) -> str:
        """Start a command and give what it printed until the text came; its standard input stays open, as at a terminal."""
        log = self._folder / f"running-{len(self._running)}.log"
        with log.open("w") as out:
            place = self._place(bootstrap) | {"stdin": subprocess.PIPE}
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], stdout=out, stderr=subprocess.STDOUT, text=True, **place
            )
        self._running.append(process)
        deadline = time.monotonic() + TIMEOUT_S
        while text not in log.read_text():
            if process.poll() is not None and process.stdin:
                process.stdin.close()
            assert process.returncode is None, f"$ {command}\nended with {process.returncode}:\n{log.read_text()}"
            assert time.monotonic() < deadline, f"$ {command}\ndid not print {text!r} in {TIMEOUT_S} s:\n{log.read_text()}"
            time.sleep(0.05)
        return log.read_text()

    def _place(self, bootstrap: str | None) -> dict[str, Any]:
        """Where and with what commands run: no standard input, no terminal, the project's commands on the path."""
        environment = os.environ | {"PATH": f"{ROOT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100"}
        if bootstrap:
            environment["ORCHESTRATOR_BOOTSTRAP_SERVER"] = bootstrap
        return {"cwd": self._folder, "env": environment, "stdin": subprocess.DEVNULL, "start_new_session": True}


def _run(command: str, place: Mapping[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; nothing that it started outlives a time limit or Ctrl-C."""
    process = subprocess.Popen(["bash", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **place)
    with process:
        try:
            out, err = process.communicate(timeout=TIMEOUT_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)
