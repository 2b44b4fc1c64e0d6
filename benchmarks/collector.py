"""Python's garbage collector while something is measured: as a worker has it, which looks for cycles rarely."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from orchestrator.stream.runner import calm_the_collector


@contextmanager
def calm() -> Iterator[None]:
    """Let it be so meanwhile."""
    thresholds = gc.get_threshold()
    gc.collect()
    calm_the_collector()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
