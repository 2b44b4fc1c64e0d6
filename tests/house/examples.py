"""YAML in the documents, checked as `orchestrator validate` and `orchestrator test` check files.

A whole file is checked as it stands. Part of one is completed first: the keys of a journey that are not shown are filled in, and
what a part can only name, such as a state that is not shown, is not held against it. Journeys are checked with the first whole
policy of their document, and with the shipped event schemas.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import indent
from typing import Final

from orchestrator.engine.verbs import TABLE
from orchestrator.language import codes
from orchestrator.language.catalog import Catalog
from orchestrator.language.loading import Source, SourceKind, load
from orchestrator.language.problems import Problem
from orchestrator.operate.scenarios.batch import Runner
from orchestrator.wire.schemas import load_catalog

# How a fence may be marked, and what it then is.
WHOLE: Final[Mapping[str, SourceKind]] = {
    "journey": "journey", "policy": "policy", "streams": "streams", "experiments": "experiments",
}  # fmt: skip
PARTS: Final[Mapping[str, SourceKind]] = {
    "part of a journey": "journey", "states": "journey", "steps": "journey",
    "part of a policy": "policy",
}  # fmt: skip
KINDS: Final = frozenset({*WHOLE, *PARTS, "scenario"})

_ELSEWHERE: Final = frozenset(
    {codes.UNKNOWN_STATE, codes.UNREACHABLE_STATE, codes.NO_WAY_OUT, codes.UNKNOWN_JOURNEY, codes.UNKNOWN_CHANNEL}
)
_FILLED_IN: Final = {
    "journey": "journey: example\n",
    "version": "version: 1\n",
    "owner": "owner: docs\n",
    "purpose": "purpose: onboarding\n",
    "entry": "entry: {on: signup.created}\ncontext: {plan: event.plan}\n",
    "states": "states: {s: {rest: true}}\n",
}
_KEY: Final = re.compile(r"^([a-z_]+):", re.MULTILINE)
_FIRST_STATE: Final = re.compile(r"^states:\s*\{?\s*([a-z][a-z0-9_-]*):", re.MULTILINE)


@cache
def _catalog() -> Catalog:
    return load_catalog()


def complete(kind: str, body: str) -> str:
    """Give the whole file of which a block is part; a whole file as it is."""
    if kind == "steps":
        body = f"states:\n  s:\n    rest: true\n    steps:\n{indent(body, '      ')}"
    elif kind == "states":
        body = f"states:\n{indent(body, '  ')}"
    elif kind != "part of a journey":
        return body
    written = set(_KEY.findall(body))
    body += "".join(text for key, text in _FILLED_IN.items() if key not in written)
    start = _FIRST_STATE.search(body)
    return body if "start" in written or start is None else f"{body}start: {start.group(1)}\n"


def refusals(kind: str, body: str, policy: str) -> list[Problem]:
    """Give what `validate` has against a block; `policy` is the document's own, "" for none."""
    part = PARTS.get(kind)
    wanted: SourceKind = WHOLE[kind] if part is None else part
    sources = [Source("block", complete(kind, body).encode(), wanted)]
    if wanted == "journey" and policy:
        sources.append(Source("policy", policy.encode(), "policy"))
    found = load(sources, _catalog(), TABLE, is_complete=False).problems
    return [each for each in found if each.severity == "error" and not (part and each.code in _ELSEWHERE)]


def scenario_faults(body: str) -> list[str]:
    """Run a scenario; give what does not hold, or why it could not be run."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "block.scenario.yaml"
        path.write_text(body, encoding="utf-8")
        result = Runner().run(path)
    assert result is not None
    return [*result.problems, *(line for failure in result.failures for line in failure.lines)]


def check(kind: str, body: str, policy: str, wanted_code: str) -> None:
    """Raise AssertionError for a block that is not what it is marked to be; `wanted_code` is the one error that it shows."""
    if kind == "scenario":
        faults = scenario_faults(body)
        assert not faults, "\n".join(faults)
        return
    found = refusals(kind, body, policy)
    listed = "\n".join(str(each) for each in found)
    if wanted_code:
        assert {each.code for each in found} == {wanted_code}, f"should be refused with {wanted_code} alone\n{listed}"
    else:
        assert not found, f"{listed}\n---\n{complete(kind, body)}"
