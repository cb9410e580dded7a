"""What a scene takes in tokens: those of its prompts that have to be computed, and those that are generated.

Recorded scenes are played by the graph, and their calls go past a cache that knows every token of what came
before: as much of a prompt as any earlier prompt and its reply begin with is not computed again. Calls that
are under way together count one after the other, as they come, since engines let those that share a
beginning wait for each other too.
"""

import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from functools import cache
from statistics import fmean
from typing import TYPE_CHECKING, TypeAlias

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Silent
from benchmarks.replay import RecordedScene, ReplayModel, Reply
from graph import build_graph
from graph.play import play
from inference.engine import ChatMessage, GenerationRequest
from inference.models.gguf_tokenizer import tokenizer_folder, tokenizer_in
from inference.models.local import gguf_file, no_progress, transformers_folder
from inference.models.sources import EmbeddedSource, GgufSource, resolve
from scene.nouns import ModelIdentity
from scene.settings import SceneSettings

if TYPE_CHECKING:
    from inference.batching.chat_prompt import ChatPrompts

CASES = ("first", "later", "export")
"""The very first scene on a machine; a lone one later, where the cache has the beginnings of all prompts
(system message and examples); one of an export, where it has the scenes before besides."""

MODEL = ModelIdentity(id="none", revision=None, engine="none")

COLUMNS = ("calls", "prompt", *CASES, "generated")

Tokens: TypeAlias = Sequence[Hashable]
Tokenizer: TypeAlias = "ChatPrompts | Pieces"
Call: TypeAlias = tuple[GenerationRequest, Reply]
Costs: TypeAlias = Mapping[str, Counter[str]]
"""The columns by name of call, summed over the calls of a scene."""

_Node: TypeAlias = "dict[Hashable, _Node]"

_PIECE = re.compile(
    r"'(?:s|t|re|ve|m|ll|d)|(?:[^\r\n\w]|_)?[^\W\d_]+|\d| ?(?:[^\s\w]|_)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    re.IGNORECASE,
)
_UNASKED = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."


class Pieces:
    """Counts without a model's files: the pieces that Qwen2.5 cuts a text to before it looks for tokens.

    Over four recorded scenes that came to 4% fewer tokens of prompts and 3% fewer of replies than with the
    default model's tokenizer, for which a few words such as ` asker` are several tokens.
    """

    def token_ids(self, messages: Sequence[ChatMessage]) -> list[str]:
        """Pieces of a prompt in the template of Qwen2.5."""
        if messages[0].role != "system":
            messages = [ChatMessage("system", _UNASKED), *messages]
        tokens: list[str] = []
        for said in messages:
            tokens += ["<|im_start|>", said.role, "\n", *self.ids(said.content), "<|im_end|>", "\n"]
        return [*tokens, "<|im_start|>", "assistant", "\n"]

    @staticmethod
    @cache
    def ids(text: str) -> tuple[str, ...]:
        """Pieces of a text."""
        return tuple(_PIECE.findall(text))


class PrefixCache:
    """What was computed, as paths from one root."""

    def __init__(self, known: Iterable[Tokens] = ()) -> None:
        self._root: _Node = {}
        for tokens in known:
            self.keep(tokens)

    def keep(self, tokens: Tokens) -> None:
        """Add what was computed."""
        node = self._root
        for token in tokens:
            node = node.setdefault(token, {})

    def missing(self, prompt: Tokens) -> int:
        """How many tokens of a prompt have to be computed; the last one always, for its logits."""
        node = self._root
        for place, token in enumerate(prompt[:-1]):
            if token not in node:
                return len(prompt) - place
            node = node[token]
        return 1


def real_tokenizer(model: str) -> Tokenizer:
    """The tokenizer of a model, which is fetched where it is not here."""
    from inference.batching.chat_prompt import ChatPrompts

    source = resolve(model)
    if isinstance(source, EmbeddedSource | GgufSource):
        folder = tokenizer_folder(gguf_file(source, no_progress))
    else:
        folder = transformers_folder(source)
    return ChatPrompts(tokenizer_in(folder), model)


def costs_of(scenes: Sequence[RecordedScene], tokenizer: Tokenizer) -> list[Costs]:
    """What each scene takes; the export plays these scenes, after the beginnings of all their prompts."""
    played = [asyncio.run(_played(scene)) for scene in scenes]
    requests = [request for calls in played for request, _ in calls]
    opening = ChatMessage("user", "")
    beginnings = {(*request.messages[: request.fixed], opening) for request in requests}
    fixed = [tokenizer.token_ids(messages) for messages in beginnings]
    export = PrefixCache(fixed)
    return [
        count(calls, tokenizer, {"first": PrefixCache(), "later": PrefixCache(fixed), "export": export})
        for calls in played
    ]


def by_call(costs: Sequence[Costs]) -> dict[str, dict[str, float]]:
    """Means of the columns over scenes, by name of call."""
    nothing: Counter[str] = Counter()
    return {
        name: {column: fmean(scene.get(name, nothing)[column] for scene in costs) for column in COLUMNS}
        for name in sorted({name for scene in costs for name in scene})
    }


def as_json(costs: Sequence[Costs]) -> dict[str, object]:
    """The means as one object, by case and by name of call."""
    calls = {name: _rounded(cost) for name, cost in by_call(costs).items()}
    mean = _rounded(_sum(by_call(costs).values()))
    cases = {
        case: {"prompt": mean["prompt"], "computed": mean[case], "generated": mean["generated"]}
        for case in CASES
    }
    return {**cases, "scenes": len(costs), "calls": mean["calls"], "by_call": calls}


def show(scenes: Sequence[RecordedScene], costs: Sequence[Costs], console: Console) -> None:
    """Print what each scene takes, and each call of them in the mean."""
    calls = by_call(costs)
    of_scenes = [
        (" ".join(scene.question.split()), _sum(cost.values()))
        for scene, cost in zip(scenes, costs, strict=True)
    ]
    for title, rows in (("a scene", of_scenes), ("its calls", calls.items())):
        table = Table(box=None, pad_edge=False)
        table.add_column(title, no_wrap=True, width=26)
        for column in COLUMNS:
            table.add_column(column, justify="right", no_wrap=True)
        for name, cost in (*rows, ("mean", _sum(calls.values()))):
            table.add_row(name, *(f"{cost[column]:,.{int(column == 'calls')}f}" for column in COLUMNS))
        console.print(table, "")


def count(calls: Sequence[Call], tokenizer: Tokenizer, caches: Mapping[str, PrefixCache]) -> Costs:
    """What the calls of a scene take, with what each case's cache knows; it then knows them too.

    Of a call whose choices are weighed, these are computed and nothing is generated.
    """
    costs: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for request, reply in calls:
        prompt = tokenizer.token_ids(request.messages)
        weighed = sum(len(tokenizer.ids(choice)) for choice in request.choices) if request.weigh else 0
        cost = costs[reply.prompt]
        cost.update(calls=1, prompt=len(prompt), generated=0 if request.weigh else reply.tokens)
        for case, known in caches.items():
            cost[case] += known.missing(prompt) + weighed
            known.keep([*prompt, *tokenizer.ids(reply.text)])
    return costs


async def _played(scene: RecordedScene) -> list[Call]:
    """What is asked in a scene, in the order in which it comes, with the recorded replies."""
    model = ReplayModel(engine=Silent(MODEL), scene=scene)
    await play(build_graph(model), scene.question, model=MODEL, settings=SceneSettings())
    return model.answered


def _rounded(cost: Mapping[str, float]) -> dict[str, float]:
    return {column: round(cost[column], 1) for column in COLUMNS}


def _sum(costs: Collection[Mapping[str, float]]) -> Mapping[str, float]:
    return {column: sum(cost[column] for cost in costs) for column in COLUMNS}
