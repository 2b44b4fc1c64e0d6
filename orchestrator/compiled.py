"""Which modules may run as C, compiled by mypyc (`make compile`), and whether they do in this process.

The sources are what counts. What was compiled has their digest in its name, so that after any change, or in another release,
Python reads all of them again: slower, and else the same. `ORCHESTRATOR_INTERPRETED=1` asks for that.
"""

from __future__ import annotations

import os
import sys
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from typing import Final

VARIABLE: Final = "ORCHESTRATOR_INTERPRETED"
ROOT: Final = Path(__file__).parent

# What events go through. Not what defines Structs that are stored or sent, they gain nothing; nor what is seldom met.
MODULES: Final = (
    *(f"engine/{name}.py" for name in (
        "answers", "arbitration", "caps", "consent", "customer", "customer_clock", "dedupe", "engine", "entries", "fields",
        "goals", "handle", "handling", "held", "holdout", "identity", "local_time", "memory", "outgoing", "pausing", "program",
        "quiet", "record", "send_rules", "storing", "suppress", "timers", "turn", "upkeep", "values", "walk",
    )),
    *(f"engine/verbs/{name}.py" for name in (
        "alert", "call", "delay", "end", "go", "hold_until", "randomize", "send", "set", "split", "start", "verb",
    )),
    "language/expressions.py", "language/shortcuts.py",
    "stream/batches.py", "stream/calendar.py", "stream/outbox.py", "stream/partition.py", "stream/producing.py",
    "wire/actions.py", "wire/binary.py", "wire/gate.py", "wire/handlings.py",
)  # fmt: skip
_FOLDERS: Final = frozenset(str((ROOT / path).parent) for path in MODULES)
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


@cache
def is_used() -> bool:
    """Tell whether this process runs what was compiled. Looked up when first asked: `--help` need not wait for it."""
    return not os.environ.get(VARIABLE) and is_done()


def _digest() -> str:
    from hashlib import sha256  # takes as long to import as all else here, which every command waits for

    digest = sha256("\n".join(MODULES).encode())
    for path in _files(".py"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files(ending: str) -> list[Path]:
    return [path for folder in _READ for path in sorted((ROOT / folder).glob(f"*{ending}"))]


def _sources_alone(folder: str) -> FileFinder:
    """Find modules of a folder by their sources, where what was compiled is not to be used. Raises ImportError to decline."""
    if folder not in _FOLDERS or is_used():
        raise ImportError
    return FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))


sys.path_hooks.insert(0, _sources_alone)
