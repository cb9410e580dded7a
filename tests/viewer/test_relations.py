"""Who reacted to what, worked out of the log alone, is what the graph delivered."""

import asyncio

from graph import build_graph
from graph.play import play
from scene.nouns import PROTAGONIST, Event, ModelIdentity
from scene.turn import acting
from tests.scripted_scene import model
from viewer.relations import followed_by, prompted_by, shared_words, telling, tried_again


def test_a_role_reacts_to_what_its_inbox_held():
    delivered = {}

    def note(state):
        for role in acting(state):
            if role != PROTAGONIST:
                delivered[state.turn, role] = tuple(state.inbox.get(role, ()))

    identity = ModelIdentity(id="scripted", revision=None, engine="scripted")
    record = asyncio.run(play(build_graph(model()), "Why?", model=identity, on_state=note))
    found = prompted_by(record.events)
    reactions = [event for event in record.events if event.actor != PROTAGONIST]
    assert reactions
    for event in reactions:
        assert found[event.id] == delivered[event.turn, event.actor] != ()
    assert not any(found[event.id] for event in record.events if event.actor == PROTAGONIST)


def test_what_followed_is_the_same_seen_from_the_other_end():
    prompts = {"e0": (), "e1": ("e0",), "e2": ("e0", "e1")}
    assert followed_by(prompts) == {"e0": ["e1", "e2"], "e1": ["e2"], "e2": []}


def step(number: int, turn: int, *, admitted: bool) -> Event:
    return Event(
        id=f"e{number}",
        turn=turn,
        actor=PROTAGONIST,
        text="I knock.",
        observers=(),
        admitted=admitted,
        reason="",
        step=0,
    )


def test_a_refused_step_names_its_second_try():
    assert tried_again([step(0, 1, admitted=False), step(1, 2, admitted=True)]) == {"e0": "e1"}
    assert tried_again([step(0, 1, admitted=False)]) == {}


def test_shared_words_tell_something():
    sentence = "The landlords may lose their savings, so pay the rent."
    assert shared_words(sentence, "A landlord loses savings.", set()) == ("landlords", "lose", "savings")
    assert shared_words(sentence, "A landlord loses savings.", telling("landlord savings")) == ()
    assert shared_words(sentence, "They would rather wait.", set()) == ()
