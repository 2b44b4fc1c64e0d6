"""One layout for YAML files: indentation, spacing and line ends; comments, quotes and the author's choice of flow or block stay.

What a file says never changes: it is read before and after by the language's own reader; where the two differ it is left alone.
"""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.constructor import RoundTripConstructor
from ruamel.yaml.error import YAMLError
from ruamel.yaml.representer import RoundTripRepresenter

from orchestrator.language.composer import compose
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Node

WIDEST = 1_000_000  # lines are broken where the author broke them
PASSES = 4
TIMESTAMP: Final = "tag:yaml.org,2002:timestamp"


class Instant(str):
    """A time as it was written: ruamel.yaml would write 23:59:59.999 with other digits."""


class _Constructor(RoundTripConstructor):
    def construct_instant(self, node: Any) -> Instant:
        """Take the text."""
        return Instant(node.value)


class _Representer(RoundTripRepresenter):
    def represent_instant(self, instant: Instant) -> Any:
        """Give the text, without quotes."""
        return self.represent_scalar(TIMESTAMP, str(instant))


_Constructor.add_constructor(TIMESTAMP, _Constructor.construct_instant)
_Representer.add_representer(Instant, _Representer.represent_instant)


class NotLaidOut(ValueError):
    """A file that is left as it is; `reasons` are lines for the author."""

    def __init__(self, reasons: list[str]) -> None:
        self.reasons = reasons
        super().__init__("; ".join(reasons))


def laid_out(path: Path, content: bytes) -> str:
    """Give the text in the one layout. Raises NotLaidOut where it is no YAML of ours, or would come to mean something else."""
    meant = _meaning(str(path), content)
    text = content.decode("utf-8-sig")
    for _ in range(PASSES):
        try:
            again = _once(text)
        except YAMLError as error:
            raise NotLaidOut([f"{path}: not laid out: {' '.join(str(error).split())}"]) from error
        if again == text:
            break
        text = again
    if again != text or _meaning(str(path), text.encode()) != meant:
        raise NotLaidOut([f"{path}: not laid out: it would not stay the same; nothing was changed"])
    return text


def _once(text: str) -> str:
    yaml = YAML()
    yaml.Constructor = _Constructor
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = WIDEST
    yaml.brace_single_entry_mapping_in_flow_sequence = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    out = StringIO()
    yaml.dump(yaml.load(text), out)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"


def _meaning(path: str, content: bytes) -> object:
    problems = Problems()
    node = compose(path, content, problems)
    if node is None or problems.has_errors:
        raise NotLaidOut([str(problem) for problem in problems])
    return _said(node)


def _said(node: Node) -> object:
    """Give a value with the text of each scalar, so that 1.0 and 1.00 differ, and in the order of its keys."""
    if isinstance(node.value, dict):
        return [(name, _said(value)) for name, value in node.value.items()]
    if isinstance(node.value, list):
        return [_said(item) for item in node.value]
    return type(node.value).__name__, node.value, node.text
