"""A stopped scene as YAML and back: what is taken, what is refused and why."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scene.edit import changed, from_yaml, to_yaml
from scene.errors import InputError
from scene.nouns import Event
from scene.state import SceneState
from scene.turn import plan_goes_on
from tests.exported import SAMPLE

RECORD = json.loads(SAMPLE.read_text(encoding="utf-8"))
FIELDS = "question first_answer situation goal cast plan events consequences".split()
STATE = SceneState.model_validate(
    {field: RECORD[field] for field in FIELDS} | {"inbox": {"r1": [RECORD["events"][0]["id"]]}}
)


def edited(**changes) -> SceneState:
    values = STATE.model_dump(mode="json", include=set(changes))
    for name, change in changes.items():
        values[name] = change(values[name]) if callable(change) else change
    return from_yaml(json.dumps(values), STATE)  # JSON is YAML


def test_unchanged():
    assert from_yaml(to_yaml(STATE), STATE) == STATE
    assert changed(STATE, STATE) == {}


@settings(deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_any_text_survives(text):
    state = STATE.model_copy(update={"goal": text})
    assert from_yaml(to_yaml(state), STATE).goal == text


def test_only_what_was_set_is_shown():
    assert to_yaml(SceneState(question="Why?")) == "question: Why?\n"


def test_channels_left_out_stay():
    state = from_yaml("goal: To be heard.", STATE)
    assert changed(STATE, state) == {"goal": "To be heard."}


def test_an_event_takes_what_hung_on_it_along():
    first, *rest = STATE.events
    state = edited(events=lambda events: events[1:])
    assert [event.text for event in state.events] == [event.text for event in rest]
    assert [event.id for event in state.events] == [f"e{number}" for number in range(len(rest))]
    told = {event.id: event.text for event in STATE.events}
    now = {event.id: event.text for event in state.events}
    before = [(told[c.event], c.text) for c in STATE.consequences if c.event != first.id]
    assert [(now[c.event], c.text) for c in state.consequences] == before
    assert state.inbox == {"r1": []}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("goal: [", "not valid YAML"),
        ("- a", "holds no channels"),
        ("", "holds no channels"),
        ("gaol: x", "no channel 'gaol'"),
        ("turn: soon", "turn: Input should be a valid integer"),
        ("question: ''", "The question is empty"),
        ("request: evil", "request: Input should be"),
        ("risk: 7", "risk: Input should be less than or equal to 1"),
        ("events: []\nconsequences: [{event: e99, text: x, severity: none, roles: []}]", "e99, which is no"),
        ("cast: []", "cast: This can't be empty any more"),
        ("goal: ''", "goal: This can't be empty any more"),
        ("turn: 0", "turn: This is at least 1, not 0"),
        ("budget: -1", "budget: This is at least 0, not -1"),
        ("refusals: -1", "refusals: This is at least 0, not -1"),
        ("refusals: 9", "refusals: The log holds [0-8] refusals of the asker, not 9"),
        ("[" * 3000, "not valid YAML: maximum recursion depth exceeded"),
        ("turn: " + "1" * 5000, "not valid YAML: Exceeds the limit"),
        ("turn: !!int ''", "not valid YAML: string index out of range"),
        ("turn: !!bool perhaps", "not valid YAML: 'perhaps'"),
        ("turn: !!timestamp soon", "not valid YAML: 'NoneType' object"),
        ("turn: 1" + ":00" * 400 + ".5", "not valid YAML: int too large"),
        ("? [a]\n: b", "not valid YAML: while constructing"),
        ("goal: =", "not valid YAML: could not determine a constructor"),
        ("cast: [{id: r1, name: A, traits: b, position: c}]", "numbered from r0 without a gap, not r1"),
        ("step: 99", "The next step is one of 0 to"),
        ("remembered: 99", "More is condensed than there is"),
        ("inbox: {r9: []}", "There is no role r9"),
    ],
)
def test_faults_are_named(text, fault):
    with pytest.raises(InputError, match=fault):
        from_yaml(text, STATE)


@pytest.mark.parametrize("date", ["2024-13-45", "2024-01-02", "2024-01-02 03:04:05"])
def test_a_date_is_text(date):
    assert from_yaml(f"goal: {date}", STATE).goal == date


def test_a_refusal_that_was_taken_out_does_not_count():
    """Else the plan would wait for what nobody can be told of."""
    refused = Event(
        id=f"e{len(STATE.events)}",
        turn=9,
        actor="r0",
        text="I fly.",
        observers=(),
        admitted=False,
        reason="No wings.",
        step=1,
    )
    changes = {"events": [*STATE.events, refused], "step": 1, "refusals": 1, "budget": 1}
    before = STATE.model_copy(update=changes)
    kept = before.model_dump(mode="json", include={"events"})["events"][:-1]
    state = from_yaml(json.dumps({"events": kept}), before)
    assert state.refusals == 0
    assert plan_goes_on(state)


def test_what_became_of_the_first_answer_stays_told():
    with pytest.raises(InputError, match="fate: This can't be empty any more"):
        from_yaml("fate: null", STATE.model_copy(update={"fate": "rejected"}))


def test_same_names_and_odd_numbers():
    with pytest.raises(InputError, match="share a name"):
        edited(cast=lambda cast: [role | {"name": "Ann"} for role in cast])
    with pytest.raises(InputError, match="numbered from e0 without a gap, not e1, e0"):
        edited(events=lambda events: [events[1], events[0], *events[2:]])
