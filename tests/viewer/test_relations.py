"""Who reacted to what, worked out of the log alone, is what the graph delivered."""

import asyncio

from graph import build_graph
from graph.play import play
from scene.nouns import PROTAGONIST, Event, ModelIdentity
from scene.turn import acting, cue
from tests.scripted_scene import all_befallen, model
from viewer.relations import followed_by, prompted_by, shared_words, telling, tried_again


def test_a_role_reacts_to_what_it_was_told():
    delivered = {}

    def note(state):
        for role in acting(state):
            if role != PROTAGONIST:
                news = cue(state, role).news
                delivered[state.turn, role] = {
                    event.id
                    for event in state.events
                    if any(event.text in line for line in news)
                    or any(one.event == event.id and one.text in news for one in state.consequences)
                }

    identity = ModelIdentity(id="scripted", revision=None, engine="scripted")
    record = asyncio.run(
        play(build_graph(model(consequence=all_befallen)), "Why?", model=identity, on_state=note)
    )
    found = prompted_by(record.events, record.consequences)
    reactions = [event for event in record.events if event.actor != PROTAGONIST]
    assert reactions
    for event in reactions:
        assert set(found[event.id]) == delivered[event.turn, event.actor] != set()
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
