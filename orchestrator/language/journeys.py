"""One journey file: from its YAML to a Journey (language.md 1). What a verb says is read by the verb."""

from __future__ import annotations

import re
from typing import Final, Literal, cast

from msgspec import Struct

from orchestrator.language import codes
from orchestrator.language.model import Entry, Exit, Expr, Goal, Handler, Inheritance, Journey, Place, Reentry, State
from orchestrator.language.problems import Problems
from orchestrator.language.reader import Fields, Node, check_word
from orchestrator.language.steps import read_exit_send, read_steps
from orchestrator.language.verb import VerbTable

RESERVED_STATES: Final = ("continue", "exit")  # ruling A110
URGENCIES: Final = ("high", "medium", "low")
POLICIES: Final = ("stay", "move_to", "restart", "exit")

_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)


class JourneyRead(Struct, frozen=True):
    """A journey as far as it could be read. `is_whole`: nothing was left out that its graph of states depends on."""

    journey: Journey
    is_whole: bool


def read_journey(node: Node, problems: Problems, verbs: VerbTable) -> JourneyRead:
    """Read one file. What is wrong is a problem; the rest is there to be checked."""
    fields = Fields(node, problems, "the journey")
    journey_id = _journey_id(fields)
    entry = _entry(fields)
    states, is_whole = _states(fields, verbs)
    journey = Journey(
        id=journey_id,
        version=fields.integer("version", 1, low=1, high=2**31 - 1, required=True),
        purpose=fields.name("purpose", required=True),
        entry=entry,
        start=fields.name("start", required=True),
        states=states,
        place=fields.at("journey"),
        title=fields.text("title"),
        owner=fields.text("owner"),
        priority=fields.integer("priority", 50, low=0, high=100),
        urgency=cast('Literal["high", "medium", "low"]', fields.choice("urgency", URGENCIES, "medium")),
        lifetime_ms=fields.duration("lifetime"),
        exits=_exits(fields, verbs),
        context=_context(fields),
        goals=_goals(fields),
        inherits=_inherits(fields),
        purpose_place=fields.at("purpose"),
        start_place=fields.at("start"),
    )
    fields.close()
    return JourneyRead(journey, is_whole and bool(states) and bool(journey.start))


def _journey_id(fields: Fields) -> str:
    text = fields.name("journey", required=True)
    if text and not _KEBAB.fullmatch(text):
        message = f"a journey's id is kebab-case, such as payment-recovery, not {text!r}"
        proper = re.sub(r"[_-]+", "-", text).strip("-")
        fields.problems.error(fields.at("journey"), codes.BAD_NAME, message, word=text, known=[proper])
    return text


def _entry(fields: Fields) -> Entry:
    entry = fields.fields("entry", "the entry", required=True)
    if entry is None:
        return Entry((), fields.place)
    on_places = entry.event_places("on", required=True)
    read = Entry(
        on=tuple(on_places),
        place=entry.at("on"),
        when=entry.expression("when"),
        key=entry.expression("key"),
        reentry=_reentry(entry),
        max_age_ms=entry.duration("max_age"),
        on_places=on_places,
    )
    entry.close()
    return read


def _reentry(entry: Fields) -> Reentry:
    node = entry.node("reentry")
    if node is None:
        return Reentry()
    if not isinstance(node.value, dict):
        if node.value not in {"never", "always"}:
            message = "`reentry` must be never, always or {after: <duration>, since: entry | exit}"
            entry.problems.error(node.place, codes.BAD_CHOICE, message, word=node.text, known=("never", "always"))
        return Reentry("always" if node.value == "always" else "never")
    after = Fields(node, entry.problems, "`reentry`")
    after_ms = after.duration("after", 0, required=True) or 0
    since = cast('Literal["entry", "exit"]', after.choice("since", ("entry", "exit"), "exit"))
    after.close()
    return Reentry("after", after_ms, since)


def _exits(fields: Fields, verbs: VerbTable) -> tuple[Exit, ...]:
    node = fields.node("exit")
    if node is not None and isinstance(node.value, dict):
        message = "`exit` is a list of rules: write `- on: <event type>`"
        fields.problems.error(node.place, codes.WRONG_TYPE, message)
        return ()
    return tuple(_exit(item, n, fields.problems, verbs) for n, item in enumerate(fields.items("exit"), 1))


def _exit(node: Node, n: int, problems: Problems, verbs: VerbTable) -> Exit:
    fields = Fields(node, problems, "the exit rule")
    on_places = fields.event_places("on", required=True)
    read = Exit(
        on=tuple(on_places),
        outcome=fields.name("outcome"),
        place=fields.at("on"),
        when=fields.expression("when"),
        send=read_exit_send(fields, n, verbs),
        on_places=on_places,
    )
    fields.close()
    return read


def _context(fields: Fields) -> dict[str, Expr]:
    context = fields.expressions("context")
    for name, expr in context.items():
        if not name.isidentifier():
            message = f"an expression could not read journey.{name}: a name in `context` is letters, digits and `_`"
            fields.problems.error(expr.place, codes.BAD_NAME, message, word=name, known=[re.sub(r"[.-]", "_", name)])
    return context


def _goals(fields: Fields) -> tuple[Goal, ...]:
    goals: list[Goal] = []
    for node in fields.items("goals"):
        goal = Fields(node, fields.problems, "the goal")
        on_places = goal.event_places("on", required=True)
        goals.append(
            Goal(
                id=goal.name("id", required=True),
                on=tuple(on_places),
                within_ms=goal.duration("within", 0, required=True) or 0,
                place=goal.at("id"),
                when=goal.expression("when"),
                primary=goal.flag("primary"),
                on_places=on_places,
            )
        )
        goal.close()
    return tuple(goals)


def _inherits(fields: Fields) -> tuple[Inheritance, ...]:
    found: list[Inheritance] = []
    for node in fields.items("inherits"):
        rule = Fields(node, fields.problems, "the rule for earlier instances")
        read = Inheritance(
            version=rule.integer("version", low=1, required=True),
            step=rule.name("step", required=True),
            policy=cast('Literal["stay", "move_to", "restart", "exit"]', rule.choice("policy", POLICIES, required=True)),
            place=rule.at("step"),
            to=rule.name("to"),
            to_place=rule.at("to"),
        )
        rule.close()
        if (read.policy == "move_to") != bool(read.to):
            message = "`policy: move_to` needs a step to move to, as `to`, and no other policy takes one"
            fields.problems.error(rule.place, codes.CONFLICT, message)
        found.append(read)
    return tuple(found)


def _states(fields: Fields, verbs: VerbTable) -> tuple[dict[str, State], bool]:
    section = fields.fields("states", "`states`", required=True)
    states: dict[str, State] = {}
    is_whole = section is not None
    if section is None:
        return states, is_whole
    if not list(section):
        fields.problems.error(section.place, codes.MISSING_KEY, "`states` needs at least one state")
    for name in section:
        place = section.key_at(name)
        if name in RESERVED_STATES:
            fields.problems.error(place, codes.BAD_NAME, f"`{name}` is reserved and cannot be a state's name")
        elif not check_word(name, place, fields.problems, "a state's name"):
            is_whole = False
        node = section.node(name)
        if node is None:
            is_whole = False
            continue
        states[name], state_is_whole = _state(name, place, Fields(node, fields.problems, f"state {name!r}"), verbs)
        is_whole = is_whole and state_is_whole
    return states, is_whole


def _state(name: str, place: Place, fields: Fields, verbs: VerbTable) -> tuple[State, bool]:
    handlers = _handlers(fields)
    steps, is_whole = read_steps(fields, verbs)
    state = State(
        name=name,
        place=place,
        handlers=tuple(handler for handler in handlers if handler is not None),
        steps=steps,
        final=fields.flag("final"),
        outcome=fields.name("outcome"),
        rest=fields.flag("rest"),
    )
    _check_state(state, fields)
    fields.close()
    return state, is_whole and None not in handlers


def _check_state(state: State, fields: Fields) -> None:
    problems = fields.problems
    if state.final:
        for key in ("steps", "on"):
            if fields.has(key):
                what = "steps" if key == "steps" else "handlers"
                message = f"state {state.name!r} is final, so its {what} would never run: drop them or `final: true`"
                problems.error(fields.key_at(key), codes.FINAL_WITH_STEPS, message)
        if state.rest:
            message = f"state {state.name!r} is both final and rest: a final state ends the instance, a resting one keeps it"
            problems.error(fields.key_at("rest"), codes.CONFLICT, message)
    elif state.outcome:
        message = f"state {state.name!r} is not final, so it has no outcome: add `final: true`"
        problems.error(fields.key_at("outcome"), codes.CONFLICT, message)


def _handlers(fields: Fields) -> list[Handler | None]:
    """Read the handlers of a state; None stands for one that leads nowhere because it could not be read (ruling A11)."""
    node = fields.node("on")
    if node is None:
        return []
    if not isinstance(node.value, list):
        message = "`on` of a state is a list of handlers: write `- {event: payment.failed, go: <state>}`"
        fields.problems.error(node.place, codes.WRONG_TYPE, message)
        return [None]
    return [_handler(item, fields.problems) for item in fields.items("on")]


def _handler(node: Node, problems: Problems) -> Handler | None:
    if isinstance(node.value, str):
        message = f"a handler of a state is {{event: {node.value}, go: <state>}}, not an event type alone"
        problems.error(node.place, codes.WRONG_TYPE, message)
        return None
    handler = Fields(node, problems, "the handler")
    if handler.has("on") and not handler.has("event"):
        handler.allow("on", "event")
        message = "a handler of a state names its event with `event`, not with `on`"
        problems.error(handler.key_at("on"), codes.UNKNOWN_KEY, message, word="event", known=["event"])
        event = ""
    else:
        event = handler.event_type("event", required=True)
    read = Handler(event, handler.name("go", required=True), handler.at("go"), handler.expression("when"), handler.at("event"))
    handler.close()
    return read if read.go else None
