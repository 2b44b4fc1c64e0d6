"""The `schema` command: the JSON Schemas of the files that authors write, for editors."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from orchestrator.cli import common


class File(StrEnum):
    """The files that have a schema."""

    JOURNEY = "journey"
    POLICY = "policy"
    STREAMS = "streams"
    EXPERIMENTS = "experiments"


Which = Annotated[File, typer.Argument(help="Of which file.")]
EXAMPLES = common.examples("orchestrator schema > journey.schema.json", "orchestrator schema policy > policy.schema.json")


def register(app: typer.Typer) -> None:
    """Add the command to `orchestrator`."""
    app.command("schema", epilog=EXAMPLES)(schema)


def schema(which: Which = File.JOURNEY) -> None:
    """Print the JSON Schema (2020-12) of a journey file, or of policy.yaml, streams.yaml or experiments.yaml.

    Editors that use yaml-language-server complete and check a journey whose first line is:

    # yaml-language-server: $schema=../journey.schema.json
    """
    import json

    from orchestrator.language.schema_shared import SCHEMAS

    typer.echo(json.dumps(SCHEMAS[which](), indent=2))
