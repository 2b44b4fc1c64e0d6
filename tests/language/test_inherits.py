"""`inherits` (rule V2): each rule is about a step that an earlier version has, and a policy that can be carried out."""

from __future__ import annotations

import pytest

from orchestrator.engine.verbs import TABLE
from orchestrator.language import codes
from orchestrator.language.loading import Loaded, Source, load

POLICY = "purposes: {care: {consent: not_required, basis: contract}}\n"
FILE = """
journey: j
version: {version}
owner: tests
purpose: care
entry: {{on: began}}
{rules}
start: s
states: {{s: {{steps: [{{id: {step}, delay: 1d}}, {{id: stop, end: {{}}}}]}}}}
"""


def loaded(rules: str) -> Loaded:
    files = [("journey", FILE.format(version=2, step="pause", rules=f"inherits: [{rules}]")), ("policy", POLICY)]
    files.append(("earlier", FILE.format(version=1, step="wait", rules="")))
    return load([Source(f"{kind}.yaml", text.encode(), kind) for kind, text in files], None, TABLE)  # type: ignore[arg-type]


def test_v2_what_becomes_of_earlier_instances_is_read() -> None:
    found = loaded("{version: 1, step: wait, policy: move_to, to: pause}, {version: 1, step: stop, policy: exit}")
    assert found.topology is not None, list(found.problems)
    rules = found.topology.journeys[0].inherits
    assert [(each.version, each.step, each.policy, each.to) for each in rules] == [
        (1, "wait", "move_to", "pause"),
        (1, "stop", "exit", ""),
    ]


@pytest.mark.parametrize(
    ("rules", "code", "said"),
    [
        ("{version: 2, step: wait, policy: exit}", codes.NOT_EARLIER, "this file is version 2"),
        ("{version: 1, step: pause, policy: exit}", codes.UNKNOWN_STEP, "version 1 of 'j' has no step 'pause'"),
        ("{version: 1, step: wait, policy: move_to, to: wait}", codes.UNKNOWN_STEP, "no step 'wait' to move to"),
        ("{version: 1, step: wait, policy: move_to}", codes.CONFLICT, "needs a step to move to"),
        ("{version: 1, step: wait, policy: restart, to: pause}", codes.CONFLICT, "no other policy takes one"),
        ("{version: 1, step: wait, policy: leave}", codes.BAD_CHOICE, "stay, move_to, restart or exit"),
        ("{version: 1, step: wait, policy: exit}, {version: 1, step: wait, policy: stay}", codes.DUPLICATE_ID, "already"),
    ],
)
def test_v2_a_rule_that_cannot_be_carried_out_is_refused(rules: str, code: str, said: str) -> None:
    found = loaded(rules)
    assert found.topology is None
    errors = [each for each in found.problems if each.severity == "error"]
    assert [each.code for each in errors] == [code] and said in errors[0].message
