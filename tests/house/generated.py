"""The parts of the documents that come from the code: settings, codes, the words of the language.

python -m tests.house.generated        writes them anew
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from orchestrator import errors
from orchestrator.language import codes, schema, schema_shared
from orchestrator.names import ExitCode
from orchestrator.observe import metrics
from orchestrator.operate.contract import codes as schema_codes
from orchestrator.operate.runbook import REFUSALS, SUPPRESSIONS
from orchestrator.settings import Settings
from tests.house.rules import later_table, rules_table, rulings_table
from tests.house.tree import ROOT

CHART: Final = "deploy/helm/journey-orchestrator"
_SECTION: Final = "<!-- from the code: {name} -->\n{body}\n<!-- end -->"


def settings_table() -> str:
    """Every setting with its default; the tables of clients' settings are told of in the text."""
    rows = ["| setting | default | what it is |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, "") else f"`{str(field.default).lower()}`"
        if name not in ("kafka", "registry"):
            rows.append(f"| `{name}` | {default} | {field.description} |")
    return "\n".join(rows)


def error_table() -> str:
    """The errors that end a command."""
    rows = ["| code | exit | what it is |", "|---|---|---|"]
    for kind in sorted(_descendants(errors.OrchestratorError), key=lambda each: each.code):
        exit_code = int(kind.exit_code)
        rows.append(f"| {kind.code} | {exit_code} | {(kind.__doc__ or '').splitlines()[0]} |")
    return "\n".join(rows)


def finding_table(explained: Mapping[str, str]) -> str:
    """What `validate` or `schemas check` may find."""
    return "\n".join(["| code | what it is |", "|---|---|", *(f"| {code} | {text} |" for code, text in explained.items())])


def exit_table() -> str:
    """The exit statuses by their names."""
    return "\n".join(["| status | name |", "|---|---|", *(f"| {int(each)} | {each.name.lower()} |" for each in ExitCode)])


def metrics_table() -> str:
    """Every metric with its kind and labels, as the page of metrics names it."""
    rows = ["| metric | kind | labels | what it is |", "|---|---|---|---|"]
    rows += [f"| `{each.name}` | {each.kind} | {', '.join(each.labels)} | {each.what} |" for each in metrics.described()]
    return "\n".join(rows)


def _descendants(kind: type[errors.OrchestratorError]) -> list[type[errors.OrchestratorError]]:
    found = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    return found + [deeper for each in found for deeper in _descendants(each)]


def values_table() -> str:
    """Every value of the Helm chart, from the comments in values.yaml, as helm-docs would."""
    rows = ["| value | default | what it is |", "|---|---|---|"]
    path: list[tuple[int, str]] = []
    comment = ""
    for line in (ROOT / CHART / "values.yaml").read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("# -- "):
            comment = line.partition("# -- ")[2]
        elif key := re.match(r"(\s*)(\w+):\s*(.*)", line):
            path = [each for each in path if each[0] < len(key[1])] + [(len(key[1]), key[2])]
            if comment:
                default = f"`{key[3]}`" if key[3] else "see values.yaml"
                rows.append(f"| `{'.'.join(name for _, name in path)}` | {default} | {comment} |")
            comment = ""
    return "\n".join(rows)


def words_table(mapping: Mapping[str, Any]) -> str:
    """The settings of one mapping of the language, from its JSON Schema."""
    rows = ["| setting | takes | default | what it is |", "|---|---|---|---|"]
    required = mapping.get("required", ())
    for name, each in mapping["properties"].items():
        default = "required" if name in required else _default(each)
        rows.append(f"| `{name}` | {_takes(each)} | {default} | {each.get('description', '')} |")
    return "\n".join(rows)


def _default(setting: Mapping[str, Any]) -> str:
    value = setting.get("default")
    return "" if value is None or value is False else f"`{str(value).lower()}`"


def _takes(setting: Mapping[str, Any]) -> str:
    """Say what a schema lets through, in a few words."""
    if "$ref" in setting:
        word = str(setting["$ref"]).rsplit("/", 1)[-1]
        return "event type" if word == "event" else word
    if "enum" in setting:
        return ", ".join(f"`{word}`" for word in setting["enum"])
    if "anyOf" in setting:
        one, *others = setting["anyOf"]
        is_list = others[-1].get("type") == "array"
        return f"{_takes(one)}, or a list" if is_list else ", ".join(_takes(each) for each in setting["anyOf"])
    if setting["type"] in {"integer", "number"}:
        return _bounds(setting)
    return {"object": "mapping", "array": "list", "boolean": "true, false"}.get(setting["type"], "text")


def _bounds(setting: Mapping[str, Any]) -> str:
    low, high = setting["minimum"], setting.get("maximum")
    what = "" if setting["type"] == "number" else "whole number "
    return f"{what}{low} to {high:,}" if high is not None else f"{what}from {low}"


def reasons_table(reasons: Mapping[str, str]) -> str:
    """Reasons of a decision, as runbooks explain them."""
    return "\n".join(
        ["| reason | what it means |", "|---|---|", *(f"| `{reason}` | {text} |" for reason, text in reasons.items())]
    )


WORDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "journey": schema.JOURNEY,
    "entry": schema.ENTRY,
    "reentry": schema.AFTER,
    "exit": schema.EXIT,
    "goals": schema.GOAL,
    "inherits": schema.INHERITANCE,
    "states": schema.STATE_BODY,
    "handlers": schema.HANDLER,
    "send": schema.SEND,
    "call": schema.CALL,
    "retry": schema.RETRY,
    "hold_until": schema.BRANCH,
    "beside hold_until": {"properties": schema.BESIDE_HOLD, "required": ["timeout"]},
    "delay": schema.DELAY,
    "split": schema.WAY,
    "randomize": schema.RANDOMIZE,
    "arms": schema.ARM,
    "start": schema.START,
    "alert": schema.ALERT,
    "end": schema.END,
    "policy": schema_shared.POLICY,
    "channels": schema_shared.CHANNEL,
    "quiet_hours": schema_shared.QUIET_HOURS,
    "rate": schema_shared.RATE,
    "purposes": schema_shared.PURPOSE,
    "consent": schema_shared.CONSENT,
    "caps": schema_shared.CAP,
    "suppress": schema_shared.SUPPRESS,
    "exclusive": schema_shared.EXCLUSIVE,
    "dedupe.events": schema_shared.DEDUPE_EVENTS,
    "dedupe.addresses": schema_shared.DEDUPE_ADDRESSES,
    "holdout": schema_shared.HOLDOUT,
    "limits": schema_shared.LIMITS,
    "streams": schema_shared.STREAMS,
    "event topics": schema_shared.EVENT_TOPIC,
    "experiments": schema_shared.EXPERIMENT,
    "minimum": schema_shared.MINIMUM,
}

SECTIONS: Final[Mapping[str, Mapping[str, Callable[[], str]]]] = {
    "README.md": {"settings": settings_table},
    "tests/RULES.md": {"rules": rules_table, "rulings": rulings_table, "not built": later_table},
    "docs/errors.md": {
        "exit statuses": exit_table,
        "errors": error_table,
        "findings": partial(finding_table, codes.EXPLAINED),
        "schema findings": partial(finding_table, schema_codes.EXPLAINED),
    },
    "docs/metrics.md": {"metrics": metrics_table},
    f"{CHART}/README.md": {"values": values_table},
    "docs/language.md": {
        **{name: partial(words_table, mapping) for name, mapping in WORDS.items()},
        "refusals": partial(reasons_table, REFUSALS),
        "suppressions": partial(reasons_table, SUPPRESSIONS),
    },
}


def renewed(document: str, text: str) -> str:
    """The document with its sections as the code has them now. Raises AssertionError where one is not there."""
    for name, render in SECTIONS[document].items():
        pattern = re.compile(re.escape(f"<!-- from the code: {name} -->") + r".*?<!-- end -->", re.DOTALL)
        assert pattern.search(text), f"{document}: no section <!-- from the code: {name} --> ... <!-- end -->"
        whole = _SECTION.format(name=name, body=render())
        text = pattern.sub(lambda _, whole=whole: whole, text)
    return text


if __name__ == "__main__":
    for each in SECTIONS:
        path = ROOT / each
        path.write_text(renewed(each, path.read_text(encoding="utf-8")), encoding="utf-8")
