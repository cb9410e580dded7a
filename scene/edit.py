"""Changing a scene that is stopped: its state as YAML, and back with every fault named."""

from typing import Any

import yaml
from pydantic import ValidationError

from scene.errors import InputError
from scene.nouns import PROTAGONIST, Event, event_number
from scene.state import SceneState
from scene.strict_yaml import NO_YAML, fault_of, loaded

FILLED = ("situation", "goal", "cast", "critique", "answer", "outcome", "fate")
"""Channels that stay filled once they are: later nodes and the record need them."""


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as they are, and line breaks that YAML would fold as escapes."""


def _represent(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if set(text) & set("\x85\u2028\u2029") else "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent)


def to_yaml(state: SceneState) -> str:
    """The channels that have been set, in the order of `SceneState`."""
    values = state.model_dump(mode="json", include=state.model_fields_set)
    ordered = {name: values[name] for name in SceneState.model_fields if name in values}
    return yaml.dump(ordered, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def from_yaml(text: str, before: SceneState) -> SceneState:
    """The state that a text describes; channels it leaves out stay as they were.

    An event that was taken out takes its consequence and the notice of it along, and later ones move up. A
    refusal of the asker that was taken out does not count any more.

    Raises:
        InputError: It is no YAML, a value is wrong, or the parts do not hang together.
    """
    try:
        values = loaded(text)
    except NO_YAML as error:
        raise InputError(f"This {fault_of(error)}") from error
    if not isinstance(values, dict):
        raise InputError("This holds no channels; write one a line, such as `goal: To be heard.`")
    if unknown := sorted(map(str, values.keys() - SceneState.model_fields.keys())):
        raise InputError(
            f"There is no channel {unknown[0]!r}; there are {', '.join(SceneState.model_fields)}."
        )
    try:
        state = SceneState.model_validate(before.model_dump(include=before.model_fields_set) | values)
    except ValidationError as error:
        raise InputError(faults(error)) from error
    if emptied := [name for name in FILLED if getattr(before, name) and not getattr(state, name)]:
        raise InputError(f"{emptied[0]}: This can't be empty any more.")
    state = _closed_up(before, state)
    _check(state)
    return state


def faults(error: ValidationError) -> str:
    """What is wrong with some values, each fault with its place."""
    return "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())


def changed(before: SceneState, after: SceneState) -> dict[str, Any]:
    """The channels whose values differ, with the new ones."""
    names = (name for name in SceneState.model_fields if getattr(before, name) != getattr(after, name))
    return {name: getattr(after, name) for name in names}


def _closed_up(before: SceneState, state: SceneState) -> SceneState:
    """The state without what hung on events that were taken out, and with events numbered from 0 again."""
    gone = {event.id for event in before.events} - {event.id for event in state.events}
    kept = [event.id for event in before.events if event.id not in gone]
    if not gone or [event.id for event in state.events] != kept:
        return state
    new = {old: f"e{number}" for number, old in enumerate(kept)}
    consequences = [c for c in state.consequences if c.event not in gone]
    taken_back = sum(e.id in gone and _refused(e) and e.step == state.step for e in before.events)
    inbox = {role: [new[e] for e in unread if e not in gone] for role, unread in state.inbox.items()}
    return state.model_copy(
        update={
            "inbox": inbox,
            "events": [event.model_copy(update={"id": new[event.id]}) for event in state.events],
            "remembered": sum(event_number(old) < before.remembered for old in kept),
            "refusals": max(0, state.refusals - taken_back),
            "consequences": [c.model_copy(update={"event": new.get(c.event, c.event)}) for c in consequences],
            "rulings": [
                ruling.model_copy(update={"id": f"e{len(kept) + number}"})
                for number, ruling in enumerate(state.rulings)
            ],
        }
    )


def _refused(event: Event) -> bool:
    return event.actor == PROTAGONIST and not event.admitted


def _check(state: SceneState) -> None:
    """Refuse what no scene can be in."""
    _check_counters(state)
    ids = [role.id for role in state.cast]
    if ids != [f"r{number}" for number in range(len(ids))]:
        raise InputError(f"Roles are numbered from {PROTAGONIST} without a gap, not {', '.join(ids)}.")
    names = [role.name.casefold() for role in state.cast]
    if len(set(names)) != len(names):
        raise InputError("Two roles share a name.")
    log = [*state.events, *state.rulings]
    if [event.id for event in log] != [f"e{number}" for number in range(len(log))]:
        raise InputError(f"Events are numbered from e0 without a gap, not {', '.join(e.id for e in log)}.")
    known, admitted = set(ids), {event.id for event in state.events if event.admitted}
    named = [role for event in log for role in (event.actor, *event.observers)]
    named += [proposal.actor for proposal in state.proposals] + list(state.inbox)
    named += [role for consequence in state.consequences for role in consequence.roles]
    if strangers := sorted(set(named) - known):
        raise InputError(f"There is no role {strangers[0]} in the cast.")
    events = [c.event for c in state.consequences] + [e for unread in state.inbox.values() for e in unread]
    if lost := sorted(set(events) - admitted):
        raise InputError(f"A consequence or an inbox names {lost[0]}, which is no admitted event.")
    if not 0 <= state.step <= len(state.plan):
        raise InputError(f"The next step is one of 0 to {len(state.plan)}, not {state.step}.")
    if not 0 <= state.remembered <= len(state.events):
        raise InputError("More is condensed than there is.")


def _check_counters(state: SceneState) -> None:
    for name, least in (("turn", 1), ("budget", 0), ("refusals", 0)):
        if (number := getattr(state, name)) < least:
            raise InputError(f"{name}: This is at least {least}, not {number}.")
    if state.refusals > (refused := sum(map(_refused, state.events))):
        raise InputError(f"refusals: The log holds {refused} refusals of the asker, not {state.refusals}.")
