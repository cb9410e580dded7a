"""State channels, turns and records: what can't be constructed, and what does not depend on order."""

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scene.errors import InputError, MonopolylogueError, PromptTooLongError, RecordError, ReplyError
from scene.harm import DOUBTFUL, HARMFUL, is_harmful, request_of
from scene.nouns import Consequence, Event, Proposal, Role, Severity
from scene.record import SceneRecord
from scene.settings import MAX_QUESTION_CHARS, SceneSettings
from scene.state import MAX_ANSWER_CHARS, SceneState, check_answer, check_question, join_proposals
from scene.turn import MOST_MOMENTS, Moment, acting, cue, outcome

proposals = st.lists(
    st.builds(
        Proposal,
        turn=st.integers(1, 3),
        actor=st.integers(0, 12).map("r{}".format),
        text=st.just("I wave."),
    ),
    max_size=12,
    unique_by=lambda proposal: (proposal.turn, proposal.actor),
)


@pytest.mark.parametrize("given", [{"roles": "3"}, {"roles": True}, {"role": 3}, {"temperature": None}])
def test_settings_of_a_client_s_edit_are_not_converted(given: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"must be a|is no setting"):
        SceneState.model_validate({"question": "Why?", "settings": given})
    state = SceneState.model_validate({"question": "Why?", "settings": {"roles": 3}})
    assert state.settings == SceneSettings(roles=3)


@given(proposals, st.randoms(), st.integers(0, 12))
def test_joining_does_not_depend_on_order(items: list[Proposal], chance, cut: int) -> None:
    shuffled = list(items)
    chance.shuffle(shuffled)
    joined = join_proposals(items, [])
    assert join_proposals(shuffled[:cut], shuffled[cut:]) == joined
    assert [int(p.actor[1:]) for p in joined] == sorted({int(p.actor[1:]) for p in joined})
    assert len({p.turn for p in joined}) <= 1
    if items:
        assert joined[0].turn == max(p.turn for p in items)


def test_joining_takes_what_a_debugger_sends() -> None:
    raw = {"turn": 1, "actor": "r0", "text": "I wave."}
    assert join_proposals([], [raw]) == [Proposal(turn=1, actor="r0", text="I wave.")]


def event(**changes):
    values = {"id": "e0", "turn": 1, "actor": "r0", "text": "I wave.", "observers": (), "admitted": True}
    return Event(**{**values, "reason": "", **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {"observers": ("r0",)},
        {"observers": ("r1", "r1")},
        {"observers": ("r1",), "admitted": False},
        {"actor": "Alice"},
        {"text": ""},
        {"turn": 0},
        {"mood": "good"},
    ],
)
def test_impossible_events(changes) -> None:
    with pytest.raises(ValidationError):
        event(**changes)


def test_nouns_are_frozen() -> None:
    with pytest.raises(ValidationError):
        event().text = "I leave."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("roles", 0),
        ("roles", 9),
        ("steps", 1),
        ("max_interactions", 0),
        ("temperature", -0.1),
        ("top_p", 0),
        ("retries", -1),
        ("answer_tokens", 1),
    ],
)
def test_settings_out_of_range(name: str, value: float) -> None:
    with pytest.raises(InputError, match=name):
        SceneSettings(**{name: value})


def test_questions() -> None:
    assert check_question("  why?\x00 ") == "why?"
    for empty in ("", "  \n", "\x00\x1b", "\ud800"):
        with pytest.raises(InputError, match="empty"):
            check_question(empty)
    with pytest.raises(InputError, match="16,001 characters"):
        check_question("x" * (MAX_QUESTION_CHARS + 1))
    with pytest.raises(ValidationError, match="empty"):
        SceneState(question=" ")


def test_first_answers() -> None:
    assert check_answer(" Do it.\x00 ") == "Do it."
    assert check_answer("") == ""
    assert SceneState(question="why?", first_answer=" Do it.\x1b ").first_answer == "Do it."
    assert check_answer("x" * MAX_ANSWER_CHARS)
    for long in (MAX_ANSWER_CHARS + 1, 573_000):
        said = f"The first answer has {long:,} characters; at most 64,000 are accepted."
        with pytest.raises(InputError, match=said):
            check_answer("x" * long)
        with pytest.raises(ValidationError, match=said):
            SceneState(question="why?", first_answer="x" * long)


def test_what_is_far_too_long_is_not_even_cleaned(monkeypatch) -> None:
    cleaned = []
    monkeypatch.setattr("scene.state.clean", lambda text: cleaned.append(text) or text)
    for check, what in ((check_question, "question"), (check_answer, "first answer")):
        with pytest.raises(InputError, match=f"The {what} has 1,000,000 characters"):
            check("x" * 1_000_000)
    assert cleaned == []


def state(**changes) -> SceneState:
    cast = [Role(id=f"r{n}", name=f"Role {n}", traits="Calm.", position="Waits.") for n in range(4)]
    values = {"question": "why?", "cast": cast, "plan": ["I go.", "I stay."], "budget": 9}
    return SceneState(**{**values, **changes})


class TestTurns:
    def test_the_protagonist_begins(self) -> None:
        assert acting(state()) == ["r0"]

    def test_whoever_has_news_acts_beside(self) -> None:
        log = [event(observers=("r1", "r3"))]
        assert acting(state(step=1, events=log, inbox={"r1": ["e0"], "r3": ["e0"]})) == ["r0", "r1", "r3"]

    def test_the_protagonist_does_not_act_on_news(self) -> None:
        log = [event(actor="r1", observers=("r0",))]
        assert acting(state(step=2, events=log, inbox={"r0": ["e0"]})) == []

    def test_a_short_budget_goes_to_those_who_acted_least(self) -> None:
        log = [event(actor="r1", observers=("r2", "r3"))]
        inbox = {"r1": ["e0"], "r2": ["e0"], "r3": ["e0"]}
        assert acting(state(step=2, events=log, inbox=inbox, budget=2)) == ["r2", "r3"]

    def test_a_refused_step_waits_for_somebody_else(self) -> None:
        refused = event(admitted=False)
        assert acting(state(refusals=1, events=[refused])) == []
        moved_on = event(id="e1", turn=2, actor="r1")
        assert acting(state(refusals=1, events=[refused, moved_on])) == ["r0"]
        assert acting(state(refusals=2, events=[refused, moved_on])) == []

    @pytest.mark.parametrize(
        ("changes", "end"),
        [
            ({"step": 2}, "plan_finished"),
            ({"step": 1, "refusals": 2}, "plan_blocked"),
            ({"step": 1, "budget": 0}, "interaction_limit"),
            ({"step": 2, "budget": 0, "inbox": {"r1": ["e0"]}}, "interaction_limit"),
            ({"step": 2, "budget": 0, "inbox": {"r0": ["e0"]}}, "plan_finished"),
        ],
    )
    def test_outcome(self, changes, end: str) -> None:
        assert outcome(state(events=[event()], **changes)) == end

    def test_a_cue_holds_what_was_observed(self) -> None:
        log = [
            event(observers=("r1",), text="I wave."),
            event(id="e1", turn=2, actor="r1", text="I wave back.", observers=("r2",)),
            event(id="e2", turn=2, actor="r2", text="I whisper.", observers=("r3",)),
            event(id="e3", turn=3, actor="r3", text="I shout.", observers=("r1", "r2")),
            event(id="e4", turn=3, actor="r2", text="I fly.", admitted=False),
        ]
        own = cue(state(step=2, events=log, inbox={"r1": ["e3"]}, turn=4), "r1")
        assert own.past == (Moment(news=('Role 0: "I wave."',), act="I wave back."),)
        assert own.news == ('Role 3: "I shout."',)

    def test_what_others_did_beside_an_act_was_noticed_after_it(self) -> None:
        log = [
            event(observers=("r2",), text="I wave."),
            event(id="e1", turn=2, text="I call.", observers=("r2",)),
            event(id="e2", turn=2, actor="r1", text="I sing.", observers=("r2",)),
            event(id="e3", turn=2, actor="r2", text="I wave back.", observers=()),
            event(id="e4", turn=3, actor="r2", text="I call back.", observers=()),
        ]
        own = cue(state(step=2, events=log, turn=4), "r2")
        assert own.past == (
            Moment(news=('Role 0: "I wave."',), act="I wave back."),
            Moment(news=('Role 0: "I call."', 'Role 1: "I sing."'), act="I call back."),
        )
        assert own.news == ()

    def test_what_a_refused_act_was_about_is_news_still(self) -> None:
        log = [
            event(observers=("r1",), text="I wave."),
            event(id="e1", turn=2, actor="r1", text="I fly.", admitted=False),
            event(id="e2", turn=2, text="I call.", observers=("r1",)),
        ]
        own = cue(state(step=2, events=log, inbox={"r1": ["e2"]}, turn=3), "r1")
        assert own.past == ()
        assert own.news == ('Role 0: "I wave."', 'Role 0: "I call."')

    def test_the_newest_acts_are_kept_in_mind(self) -> None:
        log = [
            event(id=f"e{number}", turn=number + 1, actor="r1", text=f"I say {number}.")
            for number in range(MOST_MOMENTS + 2)
        ]
        own = cue(state(step=2, events=log, turn=9), "r1")
        assert [moment.act for moment in own.past] == [event.text for event in log[2:]]

    def test_a_cue_of_the_asker_is_its_next_step(self) -> None:
        log = [event(), event(id="e1", turn=1, actor="r1", text="I shout.", observers=("r0",))]
        own = cue(state(step=1, events=log, inbox={"r0": ["e1"]}), "r0")
        assert (own.step, own.step_text) == (1, "I stay.")
        assert (own.past, own.news) == ((), ())

    def test_only_watched_words_of_the_scene_are_in_a_cue(self) -> None:
        told = state(question="May my Dog see the vet?", first_answer="Yes, by bus.")
        assert cue(told, "r1", frozenset({"vet", "bus", "aunt"})).material == "bus vet"
        assert cue(told, "r1").material == ""


@pytest.mark.parametrize(
    ("risk", "request_"),
    [
        (0, "harmless"),
        (DOUBTFUL - 0.01, "harmless"),
        (DOUBTFUL, "doubtful"),
        (HARMFUL, "harmful"),
        (1, "harmful"),
    ],
)
def test_what_a_risk_makes_of_a_request(risk: float, request_: str) -> None:
    assert request_of(risk) == request_


@pytest.mark.parametrize(
    ("request_", "stance", "harmful"),
    [
        ("harmful", "answers", True),
        ("harmful", "declines", True),
        ("doubtful", "answers", False),
        ("doubtful", "declines", True),
        ("harmless", "declines", False),
    ],
)
def test_what_is_doubtful_is_harmful_where_it_was_declined(request_, stance, harmful: bool) -> None:
    assert is_harmful(state(request=request_, stance=stance)) == harmful


@pytest.mark.parametrize(
    ("others", "asker", "harmful"),
    [
        ((), ("severe", "severe"), False),
        (("none", "minor", "none"), (), False),
        (("none", "minor"), ("none", "none", "none"), True),
        (("none", "none", "severe", "none"), (), True),
        (("moderate",), (), True),
    ],
)
def test_what_is_doubtful_is_harmful_where_others_were_hurt(
    others: tuple[Severity, ...], asker: tuple[Severity, ...], harmful: bool
) -> None:
    befell = [*((one, ("r0", "r1")) for one in others), *((one, ("r0",)) for one in asker)]
    consequences = [
        Consequence(event="e0", text="It rains.", severity=severity, roles=roles)
        for severity, roles in befell
    ]
    for request, so in (("doubtful", harmful), ("harmless", False), ("harmful", True)):
        assert is_harmful(state(request=request, stance="answers", consequences=consequences)) == so


@pytest.mark.parametrize("line", ["", "{}", "[1]", '{"schema_version": 99}', "not json"])
def test_what_is_no_record(line: str) -> None:
    with pytest.raises(RecordError, match="Not a scene record of version 1"):
        SceneRecord.from_json(line)


def test_a_reply_error_names_the_call() -> None:
    assert str(ReplyError("modulator_routing", "r2", 3, "x")) == "modulator_routing, role r2, turn 3: x"
    assert str(ReplyError("respond", None, None, "x")) == "respond: x"


@pytest.mark.parametrize(
    "error",
    [
        ReplyError("modulator_routing", "r2", 3, "x"),
        PromptTooLongError(None, 16, None),
        PromptTooLongError(900, 16, 512).asked_by("role_action", "r1", 2),
    ],
)
def test_errors_survive_the_way_to_another_process(error: MonopolylogueError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_a_prompt_that_is_too_long_names_the_call_and_the_lengths() -> None:
    said = (
        "A prompt of 900 tokens and a reply of up to 16 tokens do not fit the model's 512-token context "
        "window; shorten the question or choose another model."
    )
    error = PromptTooLongError(900, 16, 512)
    assert str(error) == said
    assert str(error.asked_by("role_action", "r1", 2)) == f"role_action, role r1, turn 2: {said}"
