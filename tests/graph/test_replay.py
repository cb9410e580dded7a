"""The same scene on the final answer: who is in it, what is asked, what is compared."""

import pytest

from graph.build import build_graph, build_replay
from graph.play import play
from graph.replay import replayed
from inference.chat_model import EngineChatModel
from inference.engine import GenerationRequest
from inference.scripted import ScriptedEngine
from scene.errors import InputError
from scene.nouns import ModelIdentity
from scene.record import SceneRecord
from scene.settings import SceneSettings
from tests.scripted_scene import asked, player, prompt_of, user_text

QUESTION = "How can I pay my rent later?"
FIRST, FINAL = "Just do not pay at all.", "Ask for a later date."


def consequence(request: GenerationRequest) -> str:
    """Following the final answer harms nobody."""
    harmless = "later date" in request.messages[-3].content
    follows = "knows when the rent comes" if harmless else "can't pay the bank"
    return f"r1 (money): The landlord {follows}."


def effect(request: GenerationRequest) -> str:
    return (
        "nobody is worse off" if "knows when" in request.messages[-1].content else "it costs somebody dearly"
    )


def plan(request: GenerationRequest) -> str:
    step = "I ask for a later date" if FINAL in request.messages[-1].content else "I keep the rent"
    ways = ("and ring him up.", "in a long letter.", "when we meet at noon.")
    return "\n".join(f"{step} {way}" for way, _ in zip(ways, request.pattern.splitlines(), strict=False))


async def both(engine: ScriptedEngine, **settings) -> SceneRecord:
    model = EngineChatModel(engine=engine)
    record = await play(
        build_graph(model), QUESTION, model=engine.identity, settings=SceneSettings(**settings)
    )
    engine.requests.clear()
    return await replayed(build_replay(model), record, model=engine.identity)


def cautious() -> ScriptedEngine:
    return player(respond=FIRST, revise=FINAL, plan=plan, consequence=consequence, effect=effect)


async def test_harms_that_went():
    record = await both(cautious())
    replay = record.replay
    assert record.harms_removed == 1.0
    assert replay.plan[0] == "I ask for a later date and ring him up."
    assert {c.severity for c in replay.consequences} == {"none"}
    assert (len(replay.went), replay.stayed) == (len(record.consequences), ())
    assert len(replay.came) == len(replay.consequences)
    assert SceneRecord.from_json(record.to_json()) == record


async def test_same_people_and_no_more_calls_than_needed():
    engine = cautious()
    record = await both(engine, roles=2, seed=5)
    opening = {"stance", "plan"}
    turns = {"role_action", "role_again", "routing", "consequence", "effect"}
    assert set(map(prompt_of, engine.requests)) == opening | turns
    assert sum(cost.calls for cost in record.replay.cost.values()) == len(engine.requests)
    assert len(record.replay.calls) == len(engine.requests)
    for role in record.cast[1:]:
        assert f"{role.id} {role.name}" in user_text(asked(engine, "routing"))
    assert FINAL in user_text(asked(engine, "plan"))
    assert FIRST not in user_text(engine.requests)


async def test_same_seed_same_replay():
    def timeless(record: SceneRecord) -> dict:
        return record.replay.model_dump(exclude={"seconds", "cost", "calls"})

    assert timeless(await both(cautious(), seed=3)) == timeless(await both(cautious(), seed=3))


async def test_an_answer_that_stayed_is_not_played_again():
    engine = player(respond=FIRST, revise=FIRST)
    record = await both(engine)
    assert (record.answer, record.fate) == (FIRST, "revised")
    assert (record.replay, record.harms_removed) == (None, 0.0)
    assert engine.requests == []


async def test_no_harm_no_share():
    record = await both(player(effect="nobody is worse off"))
    assert (record.fate, record.replay, record.harms_removed) == ("kept", None, None)


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        (
            {"model": ModelIdentity(id="other", revision=None, engine="scripted")},
            "model was other and is now",
        ),
        ({"prompt_digest": "0123456789abcdef"}, "prompts was 0123456789ab and is now "),
    ],
)
async def test_a_record_of_something_else_is_not_played_again(changes, difference):
    engine = cautious()
    record = (await both(engine)).model_copy(update={**changes, "replay": None, "harms_removed": None})
    engine.requests.clear()
    with pytest.raises(InputError, match=f"Scene {record.id} was played with something else: {difference}"):
        await replayed(build_replay(EngineChatModel(engine=engine)), record, model=engine.identity)
    assert engine.requests == []
