"""The `validate` command: every problem of a topology at once, each with its place, code and a suggestion where one is near."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import common
from orchestrator.names import ExitCode

if TYPE_CHECKING:
    from orchestrator.language.catalog import Catalog
    from orchestrator.language.loading import Loaded
    from orchestrator.language.problems import Problem
    from orchestrator.workspace import Bundle


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("validate")(validate)


def validate(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="A topologies folder, or single journey files.")],
    schemas: Annotated[Path | None, typer.Option("--schemas", metavar="DIR", help="Folder of the event schemas.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Take warnings as errors.")] = False,
) -> None:
    """Check journeys, policy and streams, and print every problem at once.

    Event schemas are taken from schemas/avro beside or above PATH, else those that come with the orchestrator. Exits 0 when all
    is well (warnings allowed, unless --strict), 1 when something is wrong, 2 when a path is not there.

    Example: orchestrator validate topologies
    """
    from orchestrator.errors import InvalidTopology, UsageError
    from orchestrator.workspace import bundles, schemas_beside

    if schemas is not None and not schemas.is_dir():
        raise UsageError("no such schema folder", where=str(schemas), next_step="give --schemas a folder with .avsc files")
    loaded: list[Loaded] = []
    schema_errors: dict[str, None] = {}
    for bundle in bundles(paths):
        catalog: Catalog | None = None
        try:
            catalog = _catalog(schemas or schemas_beside(bundle.directory) or schemas_beside(bundle.files[0][0]))
        except InvalidTopology as error:
            schema_errors[str(error)] = None
        loaded.append(_reviewed(bundle, bundle.load(catalog), strict=strict))
    if as_json:
        typer.echo(json.dumps(_document(loaded, list(schema_errors)), indent=2, ensure_ascii=False))
    else:
        _print(loaded, list(schema_errors))
    if schema_errors or any(each.topology is None or each.problems.has_errors for each in loaded):
        raise typer.Exit(ExitCode.NO)


def _reviewed(bundle: Bundle, loaded: Loaded, *, strict: bool) -> Loaded:
    """Add what the checklist says about a topology that is valid; with `strict`, every warning is an error."""
    from orchestrator.language.checklist import review

    if loaded.topology is not None:
        tested = bundle.tested(journey.id for journey in loaded.journeys)
        review(loaded.topology, tested, loaded.problems)
    if strict:
        loaded.problems.make_strict()
    return loaded


def _catalog(folder: Path | None) -> Catalog:
    from orchestrator.wire.schemas import load_catalog

    return load_catalog(folder)


def _problems(loaded: list[Loaded]) -> list[Problem]:
    return [problem for each in loaded for problem in each.problems]


def _print(loaded: list[Loaded], schema_errors: list[str]) -> None:
    problems = _problems(loaded)
    for text in schema_errors:
        typer.echo(text)
    for problem in problems:
        typer.echo(str(problem))
    errors = sum(problem.severity == "error" for problem in problems) + len(schema_errors)
    warnings = len(problems) - sum(problem.severity == "error" for problem in problems)
    counts = [_count(n, word) for n, word in ((errors, "error"), (warnings, "warning")) if n]
    if problems or schema_errors:
        typer.echo("")
    if errors:
        typer.echo(f"not valid: {', '.join(counts)}")
        return
    _print_journeys(loaded, counts)


def _print_journeys(loaded: list[Loaded], counts: list[str]) -> None:
    journeys = [journey for each in loaded for journey in each.journeys]
    width = max(len(f"{journey.id} v{journey.version}") for journey in journeys) if journeys else 0
    states = sum(len(journey.states) for journey in journeys)
    steps = sum(len(journey.steps) for journey in journeys)
    valid = f"ok: {_count(len(journeys), 'journey')}, {_count(states, 'state')}, {_count(steps, 'step')}"
    typer.echo(", ".join([valid, *counts]))
    for journey in sorted(journeys, key=lambda each: each.id):
        own_steps = len(journey.steps)
        sizes = f"{_count(len(journey.states), 'state'):>9}  {_count(own_steps, 'step'):>8}"
        typer.echo(f"  {f'{journey.id} v{journey.version}':<{width}}  {sizes}  {journey.title}".rstrip())
    kept = sorted((journey.id, journey.version) for each in loaded for journey in each.earlier)
    if kept:
        typer.echo(f"  earlier: {', '.join(f'{name} v{version}' for name, version in kept)}")
    for remark in _remarks(loaded):
        typer.echo(f"note: {remark}")


def _remarks(loaded: list[Loaded]) -> list[str]:
    from orchestrator.language.remarks import remarks

    return list(dict.fromkeys(remark for each in loaded if each.topology is not None for remark in remarks(each.topology)))


def _count(n: int, word: str) -> str:
    return f"{n} {word}" if n == 1 else f"{n} {word}s"


def _document(loaded: list[Loaded], schema_errors: list[str]) -> dict[str, Any]:
    problems = _problems(loaded)
    errors = sum(problem.severity == "error" for problem in problems) + len(schema_errors)
    return {
        "ok": errors == 0,
        "errors": errors,
        "warnings": len(problems) + len(schema_errors) - errors,
        "schema_errors": schema_errors,
        "notes": _remarks(loaded),
        "problems": [common.problem_row(problem) for problem in problems],
        "journeys": [
            {
                "journey": journey.id,
                "version": journey.version,
                "path": journey.place.path,
                "states": len(journey.states),
                "steps": len(journey.steps),
                "earlier": is_earlier,
            }
            for each in loaded
            for is_earlier, journeys in ((False, each.journeys), (True, each.earlier))
            for journey in journeys
        ],
    }
