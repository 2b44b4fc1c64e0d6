"""Journeys that only send, and what became of it as one line each."""

from __future__ import annotations

from tests.engine.world import START, World

PURPOSES = """
purposes:
  care: {consent: not_required, basis: contract}
  promotion: {consent: required}
"""
CHANNELS = """
channels:
  email: {topic: actions.email}
  sms: {topic: actions.sms}
"""


def policy(*sections: str, channels: str = CHANNELS) -> str:
    return "\n".join((channels, PURPOSES, *sections))


def mail(
    name: str = "j", *, on: str = "began", purpose: str = "care", priority: int = 50, more: str = "", channel: str = "email"
) -> str:
    """A journey that sends one message and ends."""
    return f"""
        journey: {name}
        version: 1
        purpose: {purpose}
        priority: {priority}
        entry: {{on: {on}, reentry: always}}
        start: s
        states:
          s:
            steps:
              - {{id: mail, send: {{channel: {channel}, template: {name}{more}}}}}
              - {{id: stop, end: {{outcome: through}}}}
        """


def emitted(world: World) -> list[tuple[str, int]]:
    """Each emitted send's template and the offset in ms at which it left."""
    return [
        (action.template, handling.at - START)
        for handling in world.handlings
        for action in handling.actions
        if action.kind == "send"
    ]


def told(world: World, *kinds: str) -> list[tuple[str, str, int]]:
    """Kind, reason and offset in ms of what was decided about sends."""
    wanted = kinds or ("action_emitted", "action_suppressed", "action_held", "action_released", "action_cancelled")
    return [
        (decision.kind.removeprefix("action_"), decision.reason, handling.at - START)
        for handling in world.handlings
        for decision in handling.decisions
        if decision.kind in wanted
    ]
