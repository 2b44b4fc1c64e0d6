"""The `schemas` command: the event schemas against git and the registry, as pages, and registering them."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import common
from orchestrator.names import ExitCode

if TYPE_CHECKING:
    from orchestrator.operate.contract.checking import Checked, Compared
    from orchestrator.operate.contract.differences import Differences
    from orchestrator.operate.contract.subjects import Planned, Subjects
    from orchestrator.settings import Settings

Git = Annotated[
    bool | None,
    typer.Option("--git/--no-git", help="Compare with the versions that were committed. [where the folder is in a work tree]"),
]
Since = Annotated[str, typer.Option("--since", metavar="REV", help="Leave out what had gone by then, such as the first release.")]
Strict = Annotated[bool, typer.Option("--strict", help="Take warnings as errors.")]
Revision = Annotated[str, typer.Option("--since", metavar="REV", help="The revision to compare with. [HEAD]")]
InRegistry = Annotated[bool, typer.Option("--registry", help="Compare with the latest registered versions instead of git.")]
OneType = Annotated[str, typer.Option("--type", metavar="TYPE", help="Only this event type, or record by its full name.")]
WithCommits = Annotated[bool, typer.Option("--git/--no-git", help="Tell the versions that were committed, where git has any.")]
Output = Annotated[
    Path | None, typer.Option("--output", metavar="DIR", file_okay=False, help="Write a file a type there. [standard output]")
]
CHECK_EXAMPLES = common.examples(
    "orchestrator schemas check",
    "orchestrator schemas check --git --strict --since v1.0",
    "orchestrator schemas check --set registry.url=http://localhost:8081",
)
DIFF_EXAMPLES = common.examples(
    "orchestrator schemas diff",
    "orchestrator schemas diff --since v1.0 --json",
    "orchestrator schemas diff --registry --set registry.url=http://reg:8081",
)
DOCS_EXAMPLES = common.examples(
    "orchestrator schemas docs --type payment.failed", "orchestrator schemas docs --output pages --no-git"
)
REGISTER_EXAMPLES = common.examples("orchestrator schemas register", "orchestrator schemas register --execute")


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    schemas = typer.Typer(help="The contract with producers: event schemas, here and in the registry.", no_args_is_help=True)
    schemas.command("check", epilog=CHECK_EXAMPLES)(check)
    schemas.command("diff", epilog=DIFF_EXAMPLES)(diff)
    schemas.command("docs", epilog=DOCS_EXAMPLES)(docs)
    schemas.command("register", epilog=REGISTER_EXAMPLES)(register_)
    app.add_typer(schemas, name="schemas")


def check(
    git: Git = None,
    since: Since = "",
    strict: Strict = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Check the schema files, the journeys that read them, and that no reader would break: in git's history, in the registry.

    What comes in must be readable as every version that was ever committed wrote it, what goes out both ways. A change that takes
    from a journey what it reads is told with file, line, column and expression. Doubts about style are warnings.

    Exit status: 0 all well (warnings allowed, unless --strict), 1 a file is wrong, a journey or a reader would break, 2 git was
    asked for and is not there, 3 the registry does not answer.
    """
    from orchestrator.errors import UsageError
    from orchestrator.operate.contract.checking import check as checked

    settings = common.load_settings(config, assignments, topologies=topologies, schemas=schemas)
    found = checked(settings.topologies, settings.schemas, since=since, use_git=git is not False)
    if found.compared.without and (git or since):
        raise UsageError(f"git has no history to compare with: {found.compared.without}", next_step="leave --git and --since out")
    if strict:
        found.problems.make_strict()
    planned = None if found.problems.has_errors else _in_registry(settings)
    breaks = found.problems.has_errors or any(each.state == "BREAKS" for each in planned or ())
    if json:
        _print_checked(found, planned, ok=not breaks)
    else:
        _tell(found, planned)
    if breaks:
        raise typer.Exit(ExitCode.NO)


def diff(
    since: Revision = "",
    registry: InRegistry = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Tell what differs between the schemas of a revision, or of the registry, and the files here, and whether it can be read.

    READABLE is "no" where records of then could not be read by the files here, for what goes out also where readers of then
    could not read it; "with a registry" where a version of then is in no file any more. What a change takes from journeys is
    told by `schemas check`.

    Exit status: 0 nothing differs, or all can be read, 1 something would break, or a file is no schema, 2 there is no git, no
    such revision or no registry set, 3 the registry does not answer.
    """
    from orchestrator.errors import UsageError
    from orchestrator.operate.contract.differences import since_registered, since_revision
    from orchestrator.operate.contract.history import NoGit

    settings = common.load_settings(config, assignments, topologies=topologies, schemas=schemas)
    if registry:
        if since:
            raise UsageError("--since is about git, --registry is not", next_step="give one of them")
        subjects, wanted = _in_set_registry(settings)
        with contextlib.closing(subjects):
            found = since_registered(subjects, wanted)
    else:
        try:
            found = since_revision(settings.topologies, settings.schemas, since or "HEAD")
        except NoGit as why:
            next_step = "run it in a work tree, on a revision that `git log` or `git tag` lists, or compare with --registry"
            raise UsageError(f"git has nothing to compare with: {why}", next_step=next_step) from None
    against = "the registry" if registry else since or "HEAD"
    if json:
        _print_differences(found, against)
    else:
        _tell_differences(found, against)
    if found.breaks:
        raise typer.Exit(ExitCode.NO)


def docs(
    event_type: OneType = "",
    output: Output = None,
    git: WithCommits = True,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Print or write a Markdown page for each type: fields, topics, the journeys that use them, versions.

    The same files give the same pages. Pages that are committed with the schemas want --no-git, because a version has no commit
    before it is committed. Pages of types that are gone are left where they are.

    Exit status: 0 done, 1 schemas or journeys are not valid, 2 there is no such type or the folder cannot be written.
    """
    from orchestrator.operate.contract.pages import pages

    settings = common.load_settings(config, assignments, topologies=topologies, schemas=schemas)
    found, notes = pages(settings.topologies, settings.schemas, use_git=git)
    common.known_name("--type", event_type, [each.type for each in found])
    found = [each for each in found if event_type in ("", each.type)]
    for note in notes:
        common.say(note)
    written = _write({output / each.file: each.text for each in found}) if output else 0
    if json:
        rows = [{"type": each.type, "file": each.file, "markdown": each.text} for each in found]
        common.print_json({"written": written, "pages": rows})
    elif output:
        common.say(f"{written} pages written to {output}, {len(found) - written} were as they are now")
    else:
        typer.echo("\n".join(each.text for each in found), nl=False)


def _write(pages: dict[Path, str]) -> int:
    """Write what is not there yet as it is now; gives how many that were."""
    from orchestrator.errors import UsageError

    written = 0
    for path, text in pages.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.is_file() or path.read_bytes() != text.encode():
                path.write_bytes(text.encode())
                written += 1
        except OSError as error:
            why = f"cannot write the page: {error.strerror}"
            raise UsageError(why, where=str(path), next_step="give --output a folder that can be written") from error
    return written


def register_(
    execute: common.Execute = False,
    json: common.AsJson = False,
    topologies: common.Topologies = None,
    schemas: common.Schemas = None,
    config: common.Config = None,
    assignments: common.Assignments = None,
) -> None:
    """Register what the registry lacks, under the subjects and with the compatibility that this project works by.

    Exit status: 0 done or planned, 1 a file is wrong or a journey would break, 2 no registry is set, 3 it does not answer,
    4 a reader would break.
    """
    settings = common.load_settings(config, assignments, topologies=topologies, schemas=schemas)
    subjects, wanted = _in_set_registry(settings)
    with contextlib.closing(subjects):
        planned = subjects.plan(wanted)
        if execute:
            planned = subjects.register(planned)
    _print(planned, json=json, executed=execute)
    if not json:
        new = sum(each.state in ("new subject", "new version") for each in planned)
        common.say("Registered." if execute else f"{new} to register. Nothing was done: add --execute to do it.")


def _in_registry(settings: Settings) -> list[Planned] | None:
    """Hold the contracts of a topology against the registry; None where none is set."""
    if not settings.registry:
        return None
    subjects, wanted = _wired(settings)
    with contextlib.closing(subjects):
        return subjects.plan(wanted)


def _in_set_registry(settings: Settings) -> tuple[Subjects, list[Any]]:
    from orchestrator.errors import UsageError

    if not settings.registry:
        raise UsageError("registry.url is not set", next_step="--set registry.url=http://localhost:8081")
    return _wired(settings)


def _wired(settings: Settings) -> tuple[Subjects, list[Any]]:
    from orchestrator.operate.contract.subjects import Subjects, contracts
    from orchestrator.operate.wiring import load_wiring
    from orchestrator.stream.registry import connect
    from orchestrator.wire.schemas import load_schemas
    from orchestrator.workspace import Workspace

    wiring = load_wiring(settings.topologies)
    # Every expression is typed against the schemas; raises with each place that they do not bear out.
    known = load_schemas(Workspace.load(settings.topologies, settings.schemas).schemas)
    wanted = contracts(wiring.streams, wiring.policy, known)
    return Subjects(connect(settings.registry), settings.registry.get("url", "")), wanted


def _tell(found: Checked, planned: list[Planned] | None) -> None:
    for problem in found.problems:
        typer.echo(problem.quoted)
    if planned is not None:
        _print(planned, json=False)
    errors = sum(each.severity == "error" for each in found.problems)
    warnings = len(list(found.problems)) - errors
    counted = f", {warnings} warnings" if warnings else ""
    common.say(f"not sound: {errors} errors{counted}" if errors else f"{found.files} schemas are sound{counted}")
    for line in _told_of_git(found.compared):
        common.say(line)
    if planned is None:
        asked = "because of the errors, no registry was asked" if errors else "registry.url is not set, so no registry was asked"
        common.say(asked)


def _told_of_git(compared: Compared) -> list[str]:
    if compared.without:
        return [f"versions in git were not compared: {compared.without}"]
    lines = [f"compared with {compared.versions} versions in git"]
    if compared.is_shallow:
        lines.append("this clone is shallow, so older versions were not seen: git fetch --unshallow")
    if compared.unreadable:
        lines.append(f"{compared.unreadable} committed files are no schemas and were left out")
    return lines


def _print_checked(found: Checked, planned: list[Planned] | None, *, ok: bool) -> None:
    compared = found.compared
    common.print_json(
        {
            "ok": ok,
            "schemas": found.files,
            "findings": [common.problem_row(each) for each in found.problems],
            "git": {
                "compared": not compared.without,
                "why_not": compared.without,
                "versions": compared.versions,
                "shallow": compared.is_shallow,
                "unreadable": compared.unreadable,
            },
            "subjects": None if planned is None else _rows(planned),
        }
    )


def _tell_differences(found: Differences, against: str) -> None:
    rows = [
        (each.type, *cells, each.readable)
        for each in found.differences
        for cells in [(c.field, c.what, c.before, c.after) for c in each.changes] or [("", each.state, each.before, each.after)]
    ]
    if rows:
        common.print_table(("TYPE", "FIELD", "CHANGE", "BEFORE", "AFTER", "READABLE"), rows)
    for each in found.differences:
        for line in (*(problem.quoted for problem in each.findings), *(f"{each.type}: {why}" for why in each.why)):
            typer.echo(line)
    broken = sum(each.readable == "no" for each in found.differences)
    if not found.differences:
        common.say(f"nothing differs from {against}")
    else:
        told = f"{broken} would break readers" if broken else "no reader would break"
        common.say(f"{len(found.differences)} differ from {against}, {told}")
    if found.unreadable:
        common.say(f"{found.unreadable} schemas there could not be read and were left out")


def _print_differences(found: Differences, against: str) -> None:
    common.print_json(
        {
            "ok": not found.breaks,
            "against": against,
            "unreadable": found.unreadable,
            "differences": [
                {
                    "type": each.type,
                    "state": each.state,
                    "readable": each.readable,
                    "before": each.before,
                    "after": each.after,
                    "changes": [
                        {"field": change.field, "what": change.what, "before": change.before, "after": change.after}
                        for change in each.changes
                    ],
                    "findings": [common.problem_row(problem) for problem in each.findings],
                    "why": list(each.why),
                }
                for each in found.differences
            ],
        }
    )


def _print(planned: list[Planned], *, json: bool, executed: bool | None = None) -> None:
    if json:
        found: dict[str, Any] = {} if executed is None else {"executed": executed}
        common.print_json(found | {"subjects": _rows(planned)})
        return
    common.print_table(("SUBJECT", "STATE", "ID"), [(e.contract.subject, e.state, e.id or "") for e in planned])
    for each in planned:
        if each.why:
            common.say(f"{each.contract.subject}: {each.why}")


def _rows(planned: list[Planned]) -> list[dict[str, Any]]:
    return [{"subject": e.contract.subject, "state": e.state, "id": e.id, "why": e.why} for e in planned]
