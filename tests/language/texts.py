"""Small topologies as text, and what loading says about them. Used by every test of the language."""

from __future__ import annotations

from textwrap import dedent, indent

from orchestrator.engine.verbs import TABLE
from orchestrator.language.catalog import Catalog, EventSchema, FieldType
from orchestrator.language.loading import Loaded, Source, load
from orchestrator.language.model import Topology
from orchestrator.language.problems import Problem

_RESERVED: dict[str, FieldType] = {"event_id": "string", "customer_id": "string", "occurred_at": "timestamp"}
FIELDS: dict[str, dict[str, FieldType]] = {
    "signup.created": {"account_id": "string", "plan": "string", "email": "string", "device": "map", "device.os": "string"},
    "auth.login": {"device": "string"},
    "payment.failed": {"amount": "double", "attempt": "int", "reason": "string"},
    "payment.succeeded": {"amount": "double", "attempt": "int"},
    "account.closed": {},
}
CATALOG = Catalog({name: EventSchema(name, "1.0", {**_RESERVED, **fields}) for name, fields in FIELDS.items()})

POLICY = """\
timezone: Australia/Sydney
channels:
  email: {topic: actions.email, address: profile.email}
  sms: {topic: actions.sms}
purposes:
  onboarding: {consent: required}
  service: {consent: not_required, basis: contract}
"""

HEAD = """\
journey: j
version: 1
owner: team
purpose: onboarding
entry: {on: signup.created}
"""

STATES = """\
start: a
states:
  a: {steps: [{id: out, go: z}]}
  z: {final: true}
"""


def journey(states: str = STATES, head: str = HEAD, more: str = "") -> str:
    """Put a journey together; every part is a block of lines."""
    return dedent(head) + dedent(more) + dedent(states)


def steps(block: str, more_states: str = "") -> str:
    """Put a journey together whose first state `a` has these steps and moves to `z`; the steps begin on line 9."""
    return journey(
        "start: a\nstates:\n  a:\n    steps:\n"
        + indent(dedent(block), "      ")
        + "  z: {final: true}\n"
        + indent(dedent(more_states), "  ")
    )


STEP_LINE = 10  # the line on which the block of `steps` begins


def loaded(*journeys: str, policy: str | None = POLICY, streams: str | None = None, catalog: Catalog | None = CATALOG) -> Loaded:
    """Load journeys named j.yaml, j2.yaml, ... with a policy and streams."""
    sources = [Source("j.yaml" if n == 1 else f"j{n}.yaml", text.encode(), "journey") for n, text in enumerate(journeys, 1)]
    if policy is not None:
        sources.append(Source("policy.yaml", policy.encode(), "policy"))
    if streams is not None:
        sources.append(Source("streams.yaml", streams.encode(), "streams"))
    return load(sources, catalog, TABLE)


def problems(*journeys: str, policy: str | None = POLICY, streams: str | None = None) -> list[Problem]:
    """Give every problem of a topology."""
    return list(loaded(*journeys, policy=policy, streams=streams).problems)


def lines(*journeys: str, policy: str | None = POLICY, streams: str | None = None) -> list[str]:
    """Give every problem as `validate` prints it."""
    return [str(problem) for problem in problems(*journeys, policy=policy, streams=streams)]


def topology(*journeys: str, policy: str = POLICY, streams: str | None = None) -> Topology:
    """Load what must be valid."""
    result = loaded(*journeys, policy=policy, streams=streams)
    assert result.topology is not None, "\n".join(map(str, result.problems))
    return result.topology
