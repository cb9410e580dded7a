"""Chat models that are not ours: told the shape in words, checked all the same."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import pytest
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatResult

from graph import build_graph
from graph.play import play
from graph.recorder import Recorder
from inference.chat_model import EngineChatModel, chat_role
from inference.engine import ChatMessage, Completion, GenerationRequest
from inference.lazy import LazyEngine
from inference.scripted import ScriptedEngine
from scene.errors import EngineError, ReplyError, ScriptExhaustedError
from scene.nouns import PROTAGONIST, ModelIdentity
from scene.record import SceneRecord
from tests.scripted_scene import player, scene_script

IDENTITY = ModelIdentity(id="elsewhere", revision=None, engine="elsewhere")


class Elsewhere(BaseChatModel):
    """A chat model as others write them: it takes messages and knows nothing of shapes."""

    wrap: str = "{reply}"

    @property
    def _llm_type(self) -> str:
        return "elsewhere"

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        assert not kwargs.keys() & {"pattern", "choices", "weigh", "avoid"}
        said = messages[-1].text
        choices: list[str] = []
        if match := re.search(r"\n\nReply with exactly one of these, and nothing else: (.*)\.$", said):
            said, choices = said[: match.start()], match.group(1).split(", ")
        said = re.sub(r"\n\nReply with (?:at most \d|\d|one) (?:plain|lines?) [^\n]*$", "", said)
        request = GenerationRequest(
            messages=(*(ChatMessage(chat_role(m), m.text) for m in messages[:-1]), ChatMessage("user", said)),
            max_tokens=9,
            choices=tuple(choices),
        )
        reply = self.wrap.format(reply=scene_script(request)) if choices else scene_script(request)
        return ChatResult(generations=[ChatGeneration(message=AIMessage(reply))])


@pytest.mark.parametrize("wrap", ["{reply}", " {reply}\n"])
async def test_plays_the_same_scene(wrap: str) -> None:
    theirs = await build_graph(Elsewhere(wrap=wrap)).ainvoke({"question": "How can I pay later?"})
    ours = await build_graph(EngineChatModel(engine=player())).ainvoke({"question": "How can I pay later?"})
    assert theirs == ours


class Talkative(Elsewhere):
    """The same, but `says` may put something else in the place of a reply."""

    says: Callable[[str], str | None]
    calls: list[str]

    def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
        result = super()._generate(messages, *args, **kwargs)
        plain = result.generations[0].message.text
        said = self.says(plain)
        self.calls.append(plain)
        text = plain if said is None else said
        return ChatResult(generations=[ChatGeneration(message=AIMessage(text))])


async def acts(says: Callable[[str], str | None]) -> tuple[list[str], int]:
    """What everybody but the asker did, and how often the model was asked in all."""
    talkative = Talkative(says=says, calls=[])
    record = await play(build_graph(talkative), "How can I pay my rent later?", model=IDENTITY)
    return [event.text for event in record.events if event.actor != PROTAGONIST], len(talkative.calls)


def in_place_of_acts(said: str) -> Callable[[str], str | None]:
    return lambda plain: said if plain.startswith("I walk over") else None


async def test_a_thought_is_no_reply() -> None:
    thought = "<think>\nI should plan. The user wants: {secret}.\n</think>\n\n"
    for before in (thought, "Okay, the user wants this.\n</think>\n\n"):
        assert await acts(lambda plain, before=before: before + plain) == await acts(lambda *_: None)


@pytest.mark.parametrize("apart", [False, True])
async def test_a_thought_is_recorded_beside_the_reply(apart: bool) -> None:
    """Where LangChain keeps it, or in the reply's text."""

    class Thinker(Elsewhere):
        def _generate(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> ChatResult:
            result = super()._generate(messages, *args, **kwargs)
            text = result.generations[0].message.text
            message = (
                AIMessage(text, additional_kwargs={"reasoning_content": "Hm."})
                if apart
                else AIMessage(f"<think>\nHm.\n</think>\n\n{text}")
            )
            return ChatResult(generations=[ChatGeneration(message=message)])

    record, plain = [
        await play(build_graph(kind()), "How can I pay later?", model=IDENTITY)
        for kind in (Thinker, Elsewhere)
    ]
    assert record.calls is not None
    assert plain.calls is not None
    assert {call.thought for call in record.calls} == {"Hm."}
    assert [call.completion for call in record.calls] == [call.completion for call in plain.calls]
    assert (record.first_answer, record.answer) == (plain.first_answer, plain.answer)
    assert SceneRecord.from_json(record.to_json()) == record
    assert '"thought"' not in plain.to_json()


async def test_a_reply_is_cut_to_its_shape() -> None:
    long = "Sure, here is what I do. I shout. " + " ".join(f"Word {n} goes on." for n in range(9000))
    found, _ = await acts(in_place_of_acts(long))
    assert set(found) == {"I shout. Word 0 goes on."}


async def test_a_reply_without_an_end_is_cut_to_its_cap() -> None:
    found, _ = await acts(in_place_of_acts("I shout. I say " + "that and " * 90_000))
    assert set(found) == {"I shout."}


@pytest.mark.parametrize(
    "said",
    [
        "As an AI language model I can't play a person.",
        "I am an AI language model, so I can't be a landlord.",
        "I'm sorry, but as an AI, I have no hands.",
        "They shout.",
    ],
)
async def test_what_nobody_of_the_scene_would_say_is_asked_for_again(said: str) -> None:
    once = iter([said])
    usual, calls = await acts(lambda *_: None)
    found, more = await acts(lambda plain: next(once, None) if plain.startswith("I walk over") else None)
    assert (found, more) == (usual, calls + 1)
    with pytest.raises(ReplyError, match="role_action, role r1"):
        await acts(in_place_of_acts(said))


async def test_what_is_no_choice_fails_by_name() -> None:
    with pytest.raises(ReplyError, match=r"role_init: .* 'as you wish: yes' is none of "):
        await build_graph(Elsewhere(wrap="As you wish: yes")).ainvoke({"question": "How can I pay later?"})


async def test_lines_are_found_among_others() -> None:
    def talks(plain: str) -> str | None:
        return (
            f"Here you are:\n\n{plain}\n\nAnything else?"
            if plain.startswith(("asker: ", "I take "))
            else None
        )

    assert await acts(talks) == await acts(lambda *_: None)
    with pytest.raises(ReplyError, match="role_init, role r0: plan: "):
        await acts(lambda plain: plain.partition("\n")[0] if plain.startswith("I take ") else None)


async def test_lazy_engine_loads_once_and_on_first_use() -> None:
    loads = 0

    def load() -> ScriptedEngine:
        nonlocal loads
        loads += 1
        return player()

    engine = LazyEngine("default", load)
    graph = build_graph(EngineChatModel(engine=engine))
    assert loads == 0
    assert engine.identity == ModelIdentity(id="default", revision=None, engine="not loaded")
    await asyncio.gather(*(graph.ainvoke({"question": f"Question {n}?"}) for n in range(3)))
    assert loads == 1
    assert engine.identity.engine == "scripted"


async def test_a_closed_lazy_engine_loads_nothing() -> None:
    engine = LazyEngine("default", player)
    engine.close()
    with pytest.raises(EngineError):
        await engine.generate(GenerationRequest(messages=(ChatMessage("user", "x"),), max_tokens=1))


async def test_script_that_runs_out() -> None:
    model = EngineChatModel(engine=ScriptedEngine(["one"]))
    assert (await model.ainvoke("hello")).text == "one"
    with pytest.raises(ScriptExhaustedError, match="request 2"):
        await model.ainvoke("hello")


def test_sync_calls_work_inside_a_running_loop() -> None:
    async def inside() -> str:
        return EngineChatModel(engine=ScriptedEngine(["one"])).invoke("hello").text

    assert asyncio.run(inside()) == "one"
    assert EngineChatModel(engine=ScriptedEngine(["two"])).invoke("hello").text == "two"


async def test_usage_and_finish_reason_are_reported() -> None:
    class Cut(ScriptedEngine):
        async def generate(self, request: GenerationRequest) -> Completion:
            return Completion(
                text="x", finish_reason="length", prompt_tokens=5, completion_tokens=2, cached_tokens=3
            )

    message = await EngineChatModel(engine=Cut([])).ainvoke("hello")
    assert message.usage_metadata == {
        "input_tokens": 5,
        "output_tokens": 2,
        "total_tokens": 7,
        "input_token_details": {"cache_read": 3},
    }
    assert message.response_metadata["finish_reason"] == "length"


async def test_what_choices_weigh_is_recorded() -> None:
    message = AIMessage("yes", response_metadata={"likelihoods": [0.75, 0.25]})
    label = {f"scene_{key}": None for key in ("role", "turn")} | {"scene_attempt": 0}
    label |= {"scene_node": "respond", "scene_prompt": "respond"}
    recorder = Recorder()
    model = GenericFakeChatModel(messages=iter([message]))
    await model.ainvoke("So?", {"callbacks": [recorder], "metadata": label})
    assert [call.likelihoods for call in recorder.calls] == [(0.75, 0.25)]
