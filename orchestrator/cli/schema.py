"""The `schema` command: the JSON Schema of journey files, for editors."""

from __future__ import annotations

import typer

from orchestrator.cli import common

EXAMPLES = common.examples("orchestrator schema > journey.schema.json")


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("schema", epilog=EXAMPLES)(schema)


def schema() -> None:
    """Print the JSON Schema (2020-12) of a journey file.

    Editors that use yaml-language-server complete and check a journey whose first line is:

    # yaml-language-server: $schema=../journey.schema.json
    """
    import json

    from orchestrator.language.schema import journey_schema

    typer.echo(json.dumps(journey_schema(), indent=2))
