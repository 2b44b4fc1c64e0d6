"""The `test` command: scenarios that authors write, run in virtual time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.cli import common
from orchestrator.names import ExitCode

if TYPE_CHECKING:
    from orchestrator.operate.scenarios.batch import Result

SHOWN_FAILURES: Final = 3  # of one scenario; the first is what to look at
Paths = Annotated[list[Path] | None, typer.Argument(metavar="[PATH...]", help="Scenario files, or folders with some. [.]")]
Matching = Annotated[str, typer.Option("-k", metavar="TEXT", help="Only scenarios with this text in their name or path.")]
Junit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write the results here, as JUnit XML for CI.")]
EXAMPLES = common.examples(
    "orchestrator test", "orchestrator test topologies -k 'login before'", "orchestrator test --junit r.xml"
)


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("test", epilog=EXAMPLES)(test)


def test(paths: Paths = None, matching: Matching = "", junit: Junit = None, as_json: common.AsJson = False) -> None:
    """Run scenarios (*.scenario.yaml) in virtual time: no broker, no waiting.

    A scenario that fails shows the customer's timeline with the first difference marked.

    Exit status: 0 all hold, 1 one fails or cannot be run, 2 there is none or a path is wrong.
    """
    import time

    from orchestrator.errors import UsageError
    from orchestrator.operate.scenarios.batch import find, run_all

    files = find(paths or [Path()])
    where = " ".join(str(path) for path in paths or [Path()])
    if not files:
        raise UsageError("there is no scenario", where=where, next_step="write one in a file that ends in .scenario.yaml")
    if junit is not None and (junit.is_dir() or not junit.parent.is_dir()):
        raise UsageError("cannot write there", where=str(junit), next_step="name a file in a folder that exists")
    started = time.monotonic()
    results: list[Result] = []
    try:
        for result in run_all(files, matching):
            results.append(result)
            if not as_json and result.status != "passed":
                _show(result)
    except KeyboardInterrupt:
        common.say(f"interrupted: {len(results)} of {len(files)} scenarios were run")
        raise
    seconds = time.monotonic() - started
    if not results:
        raise UsageError(f"no scenario has {matching!r} in its name or path", where=where, next_step="try a shorter text")
    if junit is not None:
        from orchestrator.operate.scenarios.junit import junit as as_junit

        junit.write_text(as_junit(results, seconds), encoding="utf-8")
    if as_json:
        _print_json(results, seconds)
    else:
        typer.echo(_summary(results, seconds))
    if any(result.status != "passed" for result in results):
        raise typer.Exit(ExitCode.NO)


def _show(result: Result) -> None:
    word = "FAILED" if result.status == "failed" else "BROKEN"
    typer.echo(f"{word}  {result.name}\n  {result.path}")
    for problem in result.problems:
        typer.echo(f"  {problem}")
    for failure in result.failures[:SHOWN_FAILURES]:
        typer.echo("")
        for line in failure.lines:
            typer.echo(f"  {line}")
    if len(result.failures) > SHOWN_FAILURES:
        typer.echo(f"\n  ... and {len(result.failures) - SHOWN_FAILURES} more expectations that do not hold")
    typer.echo("")


def _summary(results: list[Result], seconds: float) -> str:
    counts = {word: sum(result.status == word for result in results) for word in ("passed", "failed", "broken")}
    told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
    return f"{told} in {seconds:.1f} s"


def _print_json(results: list[Result], seconds: float) -> None:
    import msgspec

    counts = {word: sum(result.status == word for result in results) for word in ("passed", "failed", "broken")}
    listed = [msgspec.to_builtins(result) for result in results]
    ok = counts["passed"] == len(results)
    common.print_json({"ok": ok, **counts, "seconds": round(seconds, 3), "scenarios": listed})
