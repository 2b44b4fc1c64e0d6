"""The `fmt` command: one layout for journeys, policy, streams and scenarios."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli import common
from orchestrator.names import ExitCode

Paths = Annotated[list[Path], typer.Argument(metavar="PATH...", help="YAML files, or folders with some.")]
Check = Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 where something would change.")]
EXAMPLES = common.examples("orchestrator fmt topologies", "orchestrator fmt --check topologies")


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("fmt", epilog=EXAMPLES)(fmt)


def fmt(paths: Paths, check: Check = False) -> None:
    """Lay YAML files out in one way. Comments stay, and what a file says never changes.

    Exit status: 0 done, 1 a file cannot be laid out, or --check and one would change, 2 a path is wrong.
    """
    from orchestrator.operate.formatting import NotLaidOut, laid_out
    from orchestrator.workspace import content_of

    changed = faulty = 0
    files = _files(paths)
    for path in files:
        content = content_of(path)
        try:
            text = laid_out(path, content)
        except NotLaidOut as error:
            faulty += 1
            for reason in error.reasons:
                common.say(reason)
            continue
        if text.encode() != content:
            changed += 1
            typer.echo(f"{'would change' if check else 'changed'}  {path}")
            if not check:
                part = path.with_name(f".{path.name}.part")
                part.write_text(text, encoding="utf-8")
                part.chmod(path.stat().st_mode)
                part.replace(path)
    typer.echo(f"{len(files) - changed - faulty} as they should be, {changed} {'would change' if check else 'changed'}")
    if faulty or (check and changed):
        raise typer.Exit(ExitCode.NO)


def _files(paths: list[Path]) -> list[Path]:
    from orchestrator.errors import UsageError

    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise UsageError("no such file or folder", where=str(path), next_step="give YAML files or folders with some")
        under = sorted(each for each in path.rglob("*") if each.suffix in {".yaml", ".yml"}) if path.is_dir() else [path]
        found.update(dict.fromkeys(each for each in under if each.is_file()))
    if not found:
        raise UsageError("there is no YAML file", where=", ".join(map(str, paths)), next_step="give a topologies folder")
    return list(found)
