"""Which modules may run as C, compiled by mypyc (`make compile`), and whether they do in this process.

The sources are what counts. What was compiled has their digest in its name, so that after any change, or in another release,
Python reads all of them again: slower, and else the same. `ORCHESTRATOR_INTERPRETED=1` asks for that.
"""

from __future__ import annotations

import os
import sys
from hashlib import sha256
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from typing import Final

VARIABLE: Final = "ORCHESTRATOR_INTERPRETED"
ROOT: Final = Path(__file__).parent

# What events go through. Not what defines Structs that are stored or sent, they gain nothing; nor what is seldom met.
MODULES: Final = (
    *(f"engine/{name}.py" for name in (
        "answers", "arbitration", "caps", "consent", "customer", "customer_clock", "dedupe", "engine", "entries", "goals",
        "handle", "held", "holdout", "identity", "local_time", "memory", "outgoing", "pausing", "program", "quiet",
        "send_rules", "storing", "suppress", "timers", "turn", "values", "walk",
    )),
    *(f"engine/verbs/{name}.py" for name in (
        "alert", "call", "delay", "end", "go", "hold_until", "randomize", "send", "set", "split", "start", "verb",
    )),
    "language/expressions.py", "language/shortcuts.py",
    "stream/outbox.py", "stream/partition.py",
    "wire/actions.py", "wire/binary.py", "wire/gate.py", "wire/handlings.py",
)  # fmt: skip
# All that mypyc looks at: it takes constants over from modules that are not compiled, too.
_READ: Final = (".", "engine", "engine/verbs", "language", "observe", "stream", "wire")


def library_name() -> str:
    """Give the name of what is compiled from just these sources; the modules in it are found by their own."""
    return f"native_{_digest()}__mypyc"


def left_behind() -> list[Path]:
    """Give all files that some compilation by this version of Python has put beside the sources."""
    return _files(EXTENSION_SUFFIXES[0])


def is_done() -> bool:
    """Tell whether just these sources are compiled, all of them."""
    found = left_behind()
    return len(found) == len(MODULES) + 1 and ROOT / f"{library_name()}{EXTENSION_SUFFIXES[0]}" in found


def is_used() -> bool:
    """Tell whether this process runs what was compiled."""
    return _is_used


def _digest() -> str:
    digest = sha256("\n".join(MODULES).encode())
    for path in _files(".py"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files(ending: str) -> list[Path]:
    return [path for folder in _READ for path in sorted((ROOT / folder).glob(f"*{ending}"))]


def _read_sources() -> None:
    """Have this process find the sources alone, in all folders of the package."""
    root = str(ROOT)

    def find(path: str) -> FileFinder:
        if path != root and not path.startswith(root + os.sep):
            raise ImportError
        return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, find)
    sys.path_importer_cache.pop(root, None)


_is_used: Final = not os.environ.get(VARIABLE) and is_done()
if not _is_used:
    _read_sources()
