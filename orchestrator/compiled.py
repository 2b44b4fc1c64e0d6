"""Which modules may run as C, compiled by mypyc (`make compile`), and whether they do in this process.

The sources are what counts. What was compiled has their digest in its name, so that after any change, or in another release,
Python reads all of them again: slower, and else the same. `ORCHESTRATOR_INTERPRETED=1` asks for that.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
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


def library() -> Path:
    """Give where the library is that was compiled from just these sources, by this version of Python."""
    return ROOT / f"{library_name()}{EXTENSION_SUFFIXES[0]}"


def library_name() -> str:
    """Give its name; the modules that were compiled into it are found by their own."""
    return f"native_{_digest()}__mypyc"


def left_behind() -> Iterator[Path]:
    """Give all files that some compilation has put beside the sources."""
    for folder in _READ:
        yield from (ROOT / folder).glob(f"*{EXTENSION_SUFFIXES[0]}")


def is_used() -> bool:
    """Tell whether this process runs what was compiled."""
    return _is_used


def _digest() -> str:
    digest = sha256("\n".join(MODULES).encode())
    for folder in _READ:
        for path in sorted((ROOT / folder).glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _read_sources() -> None:
    """Have this process find the sources alone, in all folders of the package."""
    root = str(ROOT)

    def find(path: str) -> FileFinder:
        if path != root and not path.startswith(root + os.sep):
            raise ImportError
        return FileFinder(path, (SourceFileLoader, SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, find)
    sys.path_importer_cache.pop(root, None)


_found: Final = len([*left_behind()])
_is_used: Final = _found == len(MODULES) + 1 and not os.environ.get(VARIABLE) and library().exists()
if _found and not _is_used:
    _read_sources()
