"""Results as the XML that CI systems read (JUnit's, as Maven Surefire writes it)."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from orchestrator.operate.scenarios.batch import Result


def junit(results: Sequence[Result], seconds: float) -> str:
    """Give one test suite with a test case for each scenario; one that could not be run is an error."""
    failed = sum(result.status == "failed" for result in results)
    broken = sum(result.status == "broken" for result in results)
    head = f'name="scenarios" tests="{len(results)}" failures="{failed}" errors="{broken}" time="{seconds:.3f}"'
    cases = "\n".join(_case(result) for result in results)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n<testsuite {head}>\n{cases}\n</testsuite>\n</testsuites>\n'


def _case(result: Result) -> str:
    head = f'<testcase classname="{_text(result.path)}" name="{_text(result.name)}" time="{result.seconds:.3f}"'
    if result.status == "passed":
        return f"{head}/>"
    if result.status == "broken":
        body = _text("\n".join(result.problems))
        return f'{head}>\n<error message="it cannot be run">{body}</error>\n</testcase>'
    first = result.failures[0].message
    body = _text("\n\n".join("\n".join(failure.lines) for failure in result.failures))
    return f'{head}>\n<failure message="{_text(first)}">{body}</failure>\n</testcase>'


def _text(text: str) -> str:
    """Escape for text and attributes; what XML 1.0 cannot hold becomes a question mark."""
    return escape("".join(each if each in "\t\n" or (each >= " " and each not in "\ufffe\uffff") else "?" for each in text))
