"""What the log of a scene says only between its lines: who reacted to what, and which words recur."""

import re
from collections.abc import Collection, Mapping, Sequence

from scene.nouns import PROTAGONIST, Consequence, Event, EventId, RoleId

MIN_SHARED = 2
"""Telling words that a sentence and a consequence must share to be shown together."""

_WORD = re.compile(r"[^\W\d_]{4,}")
_PLURAL = re.compile(r"(?<!s)s$")
_COMMON = frozenset(
    "about after again also another because been before being better between both cannot could does doing"
    " down each even every everybody everyone feel feels find from gets give gives goes going have having"
    " help here however into just keep know like likely made make makes making many might more most much"
    " must need needs next only other others over people person some somebody someone something such sure"
    " take takes taking than that their them then there these they thing things this those through time"
    " very want wants ways well were what when where which while will with without would your"
    " yourself".split()
)


def prompted_by(
    events: Sequence[Event], consequences: Sequence[Consequence]
) -> dict[EventId, tuple[EventId, ...]]:
    """For each event, those that its actor had observed, or that had befallen it, since it last acted.

    These are what it was told of, so that they are what it reacted to. The protagonist goes on by plan and
    reacts to nothing.
    """
    befallen: dict[EventId, set[RoleId]] = {}
    for consequence in consequences:
        befallen.setdefault(consequence.event, set()).update(consequence.roles)
    inbox: dict[RoleId, list[EventId]] = {}
    found: dict[EventId, tuple[EventId, ...]] = {}
    for turn in sorted({event.turn for event in events}):
        own = [event for event in events if event.turn == turn]
        for event in own:
            found[event.id] = tuple(inbox.pop(event.actor, ()))
        for event in own:
            for role in {*event.observers, *befallen.get(event.id, ())} - {PROTAGONIST, event.actor}:
                inbox.setdefault(role, []).append(event.id)
    return found


def followed_by(prompts: Mapping[EventId, Collection[EventId]]) -> dict[EventId, list[EventId]]:
    """The same seen from the other end: for each event, those that react to it."""
    found: dict[EventId, list[EventId]] = {event: [] for event in prompts}
    for event, causes in prompts.items():
        for cause in causes:
            found[cause].append(event)
    return found


def tried_again(events: Sequence[Event]) -> dict[EventId, EventId]:
    """For each refused plan step, the event in which the protagonist tried it once more."""
    found: dict[EventId, EventId] = {}
    refused: dict[int, EventId] = {}
    for event in events:
        if event.actor != PROTAGONIST or event.step is None:
            continue
        if event.step in refused:
            found[refused.pop(event.step)] = event.id
        if not event.admitted:
            refused[event.step] = event.id
    return found


def telling(text: str) -> dict[str, str]:
    """Long words that are no function words: each without a plural's ending, and how it stands there."""
    words = (word for word in _WORD.findall(text.casefold()) if word not in _COMMON)
    return {_PLURAL.sub("", word): word for word in words}


def shared_words(sentence: str, consequence: str, known: Collection[str]) -> tuple[str, ...]:
    """Telling words that a sentence of an answer shares with a consequence.

    A record does not say which consequence changed which sentence, so this is all that can be shown of it.

    Known words, without a plural, tell nothing here, such as those of the question.

    Returns:
        The words in alphabetical order; none where there are fewer than `MIN_SHARED`.
    """
    words, others = telling(sentence), telling(consequence)
    shared = words.keys() & others.keys() - frozenset(known)
    return tuple(sorted(words[word] for word in shared)) if len(shared) >= MIN_SHARED else ()
