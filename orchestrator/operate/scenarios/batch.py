"""Many scenarios: found, run one after the other or over several processes, and given back in the order of their paths."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Final, Literal

from msgspec import Struct

from orchestrator.errors import UsageError
from orchestrator.language.problems import Problems
from orchestrator.operate.scenarios.events import check_events
from orchestrator.operate.scenarios.judging import judge
from orchestrator.operate.scenarios.playing import play
from orchestrator.operate.scenarios.publishing import stages_of
from orchestrator.operate.scenarios.reading import read_scenario
from orchestrator.operate.scenarios.references import check_references, experiments
from orchestrator.operate.scenarios.stage import Stages
from orchestrator.operate.scenarios.telling import expected_text, seen_text, told
from orchestrator.workspace import content_of

Status = Literal["passed", "failed", "broken"]

SUFFIXES: Final = (".scenario.yaml", ".scenario.yml")
SKIPPED: Final = frozenset({"node_modules", "__pycache__", "build", "dist"})
CHUNK: Final = 16
# A process costs half a second to start; below this the scenarios are done by then.
WORTH_PROCESSES: Final = 200


class FailureTold(Struct, frozen=True):
    """One expectation that does not hold. `lines` are for people; expected and seen are "" where there is none."""

    line: int
    column: int
    message: str
    customer: str
    expected: str
    seen: str
    lines: tuple[str, ...]


class Result(Struct, frozen=True):
    """What came of one file. `broken`: it could not be run, `problems` says why."""

    path: str
    name: str
    status: Status
    seconds: float
    problems: tuple[str, ...] = ()
    failures: tuple[FailureTold, ...] = ()


def find(paths: Iterable[Path]) -> list[Path]:
    """Give the scenario files at and under `paths`, each once, by path. Raises UsageError for a path that is not there."""
    found: dict[Path, Path] = {}
    for path in paths:
        if path.is_dir():
            under = list(_under(path))
        elif path.is_file():
            under = [path]
        else:
            raise UsageError("no such file or folder", where=str(path), next_step="give scenario files or folders with some")
        for each in under:
            found.setdefault(each.resolve(), each)
    return sorted(found.values())


def _under(folder: Path) -> Iterator[Path]:
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in SKIPPED)
        yield from (Path(parent) / name for name in files if name.endswith(SUFFIXES))


def run_all(files: list[Path], matching: str = "", processes: int | None = None) -> Iterator[Result]:
    """Run the scenarios whose name or path has the text `matching`, and give each result when it is there, in order.

    `processes` None: as many as there are cores where that pays, else none beside this one.
    """
    count = processes or (os.cpu_count() or 1 if len(files) >= WORTH_PROCESSES else 1)
    if count <= 1:
        runner = Runner()
        results: Iterable[Result | None] = (runner.run(path, matching) for path in files)
        yield from (result for result in results if result is not None)
        return
    # Started anew and not forked: a copy of a process with threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(count, mp_context=context) as pool:
        try:
            with _interrupts_wait():
                chunks = [pool.submit(_run_in_process, files[n : n + CHUNK], matching) for n in range(0, len(files), CHUNK)]
            for chunk in chunks:
                yield from chunk.result()
        except (KeyboardInterrupt, GeneratorExit):
            for process in multiprocessing.active_children():
                process.terminate()
            raise


@contextmanager
def _interrupts_wait() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C, which a terminal sends to all; this one hears it a little later, and ends them."""
    resource_tracker.ensure_running()  # it would lift the mask while it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_RUNNER: list[Runner] = []


def _run_in_process(paths: list[Path], matching: str) -> list[Result]:
    if not _RUNNER:
        _RUNNER.append(Runner())
    results = [_RUNNER[0].run(path, matching) for path in paths]
    return [result for result in results if result is not None]


class Runner:
    """Runs scenarios one by one; what they share is made once."""

    def __init__(self) -> None:
        self._stages = Stages()

    def run(self, path: Path, matching: str = "") -> Result | None:
        """Run one file; None where neither its path nor its name has the text `matching`."""
        started = time.perf_counter()
        problems = Problems()
        scenario = read_scenario(str(path), content_of(path), problems)
        name = path.name if scenario is None else scenario.name
        if matching and matching.lower() not in str(path).lower() and matching.lower() not in name.lower():
            return None
        stage = None if scenario is None else self._stages.stage(scenario, problems)
        stages = [] if scenario is None or stage is None else stages_of(scenario, stage, problems)
        journeys = [journey for each in stages for journey in each.topology.journeys]
        if scenario is not None and stages:
            check_events(scenario, stages[0], problems)
            check_references(scenario, journeys, problems)
        seen = None
        if scenario is not None and stages and not problems.has_errors:
            seen = play(scenario, stages, problems)
        if scenario is None or seen is None:
            texts = tuple(str(problem) for problem in problems if problem.severity == "error")
            return Result(str(path), name, "broken", time.perf_counter() - started, texts)
        failures = []
        for failure in judge(scenario, seen, experiments(journeys)):
            names = failure.expected.fields if failure.expected else {}
            failures.append(
                FailureTold(
                    line=failure.place.line,
                    column=failure.place.column,
                    message=failure.message,
                    customer=failure.customer,
                    expected=expected_text(failure.expected, scenario.start) if failure.expected else "",
                    seen=seen_text(failure.seen, names, scenario.start) if failure.seen else "",
                    lines=told(failure, scenario, seen),
                )
            )
        seconds = time.perf_counter() - started
        return Result(str(path), name, "failed" if failures else "passed", seconds, failures=tuple(failures))
