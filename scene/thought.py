"""What a model says, apart from what it thought before: however families of models mark the two."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_TAGS = "think thinking thought thoughts reasoning seed:think mm:think longcat_think".split()
_MARKS = {
    **{f"<{tag}>": f"</{tag}>" for tag in _TAGS},
    "[THINK]": "[/THINK]",
    "◁think▷": "◁/think▷",
    "<|channel>thought": "<channel|>",
    "<|inner_prefix|>": "<|inner_suffix|>",
    "<|START_THINKING|>": "<|END_THINKING|>",
    "<|begin_of_thought|>": "<|end_of_thought|>",
}
"""What begins and ends a thought of Qwen, R1, GLM, Seed, Magistral, Kimi, Gemma, Apertus and Command."""

_CHANNEL, _MESSAGE = "<|channel|>", "<|message|>"
ANSWER = f"{_CHANNEL}final{_MESSAGE}"
"""What opens an answer of gpt-oss, which parts a reply into channels."""

_HINTS = (*(f"{tag}>" for tag in _TAGS), "think]", "think▷", "|>", "channel>", "assistantfinal")
"""One of these is in every reply that marks its thought: looking for them costs next to nothing."""

_START = "|".join(map(re.escape, _MARKS))
_END = "|".join(map(re.escape, _MARKS.values()))
_WRAP = (
    r"</?(?:answer|final|output|response)>|<\|(?:(?:START|END)_RESPONSE|(?:begin|end)_of_(?:solution|box))\|>"
)
"""What Granite, Command, OpenThinker, Hunyuan, GLM and others put around an answer to a thought."""

_MARK = re.compile("|".join((_START, _END, _WRAP, r"<\|channel>")), re.IGNORECASE)
_TURN_MARKS = {f"<|{name}|>" for name in "start channel message constrain end return call".split()}
_BEGINS = re.compile(rf"(?:\A|\n)\s*({_START})", re.IGNORECASE)
_ENDS = re.compile(rf"(?<![`\"'“‘])(?:{_END})", re.IGNORECASE)
_WRAPPED = re.compile(rf"\s*(?:{_WRAP})(.*?)(?:{_WRAP})?\s*\Z", re.IGNORECASE | re.DOTALL)
_LAST = re.compile(
    rf"(?:(?:{_START})(?:\s*|(?:(?!{_START}|{_END}).)*(?:{_END})\s*)|(?:{_END})\s*)\Z",
    re.IGNORECASE | re.DOTALL,
)
_UNSURE = re.compile(
    r"(?:\A\s*|(?<=\n)[ \t]*)(?:<\|channel>\w*|[<\[◁][^>\]▷\s]{0,30})\Z|\A\s+\Z|<(?:/\w*|\|\w*\|?)?\Z"
    r"|<\|end\|>\S*\Z|\A<\|start\|>\S*\Z"
)
"""The end of a growing reply that may turn out to be a mark."""

_UNSURE_CHARS = 80
"""No such end is longer."""

_TURN = re.compile(
    r"(?:<\|start\|>\w*)?(?: to=\S+)?<\|channel\|>(?P<name>\w+)[^<]*(?:<\|constrain\|>[^<]*)?"
    r"(?:<\|message\|>(?P<said>.*?))?(?:<\|(?:end|return|call)\|>|(?=<\|start\|>|<\|channel\|>)|\Z)",
    re.DOTALL,
)
_CHANNELS = re.compile(r"\A\s*(?:<\|start\|>\w*[^<]*)?<\|channel\|>|<\|end\|><\|start\|>assistant")
_NAMES = ("analysis", "commentary", "final")
_BARE = re.compile(
    r"(?:analysis|commentary)(?=[^\W\d_])|final(?=[A-Z])|(?=.*assistantfinal)analysis", re.DOTALL
)
_BARE_TURN = re.compile(r"assistant(analysis|commentary|final)")
"""The same from a decoder that drops special tokens: the channels' names alone are left."""


@dataclass(frozen=True, slots=True)
class Said:
    """A reply in its two parts, without marks; it is open where it ends inside a thought."""

    thought: str
    text: str
    open: bool = False


def heard(reply: str) -> Said:
    """What was thought and what was said; a reply without a thought is said as it is.

    A thought stands at the beginning, or begins a line further down, but for blocks of code. It may lack its
    start mark, which some chat templates write themselves, and its end mark where a cap cut it off.
    """
    small = reply.lower()
    if not (_BARE.match(reply) or any(hint in small for hint in _HINTS)):
        return Said("", reply)
    if channels := _CHANNELS.search(reply):
        before = reply[: channels.start()]
        turns = [(turn["name"], turn["said"] or "") for turn in _TURN.finditer(reply)]
        return _of_channels([("final", before)] * bool(before) + turns)
    if _BARE.match(reply):
        _, *parts = _BARE_TURN.split(f"assistant{reply}")
        return _of_channels(list(zip(parts[::2], parts[1::2], strict=True)))
    thoughts: list[str] = []
    texts: list[str] = []
    at, is_open = 0, False
    while True:
        end = _ENDS.search(reply, at)
        if end is not None and _is_lone(reply[at : end.start()]):
            thoughts.append(reply[at : end.start()])
            at = end.end()
            continue
        begin = _next_start(reply, at, said="".join(texts))
        if begin is None:
            break
        end = _ENDS.search(reply, begin.end())
        texts.append(reply[at : begin.start(1)])
        thoughts.append(reply[begin.end() : end.start() if end else None])
        at = end.end() if end else len(reply)
        is_open = end is None
    if not thoughts:
        return Said("", reply)
    text = "".join(part for part in (*texts, reply[at:].lstrip()) if part.strip())
    wrapped = _WRAPPED.match(text)
    return Said(_joined(thoughts), wrapped[1].strip() if wrapped else text, is_open)


def certain(reply: str) -> str:
    """What is said in a reply that still grows, whatever comes next. A lone end mark nobody can foresee."""
    said = heard(reply)
    if any(name.startswith(said.text) for name in _NAMES):
        return ""
    unsure = None if said.open else _UNSURE.search(said.text, len(said.text) - _UNSURE_CHARS)
    text = said.text[: unsure.start()] if unsure else said.text
    return text.rstrip() if said.thought else text  # what is around an answer may end there


def marks_among(tokens: Iterable[str]) -> set[str]:
    """The tokens by which `heard` tells thoughts from answers: a reply has to be decoded with them."""
    given = set(tokens)
    channels = _TURN_MARKS & given if _CHANNEL in given else set()
    return channels | {token for token in given if _MARK.fullmatch(token)}


def without_last_thought(prompt: str) -> str:
    """A prompt without the thought that a chat template opens at its end, and may have closed again."""
    return _LAST.sub("", prompt)


def closing(text: str) -> str:
    """What ends the thought that a text ends in; empty where it ends in none."""
    if not heard(text).open:
        return ""
    if _BARE.match(text):
        return "assistantfinal"
    if _CHANNEL in text:
        return f"<|end|><|start|>assistant{ANSWER}"
    (*_, mark) = re.findall(_START, text) or ["<think>"]
    return f"\n{_MARKS[mark]}\n\n"


def lacks_start(reply: str) -> bool:
    """Whether a reply begins with a thought whose end alone is marked."""
    end = _ENDS.search(reply)
    return end is not None and _is_lone(reply[: end.start()])


def _is_lone(before: str) -> bool:
    """Whether an end mark after this ends a thought that lacks its start: not one in a text about marks."""
    return not re.search(_START, before, re.IGNORECASE) and not before.count("```") % 2


def _next_start(reply: str, at: int, said: str) -> re.Match[str] | None:
    """The next start of a thought: no mark in a block of code, nor one left open among other words."""
    for begin in _BEGINS.finditer(reply, at):
        first = not f"{said}{reply[at : begin.start()]}".strip()
        alone = reply[begin.end() :][:1] in ("", "\n")
        closed = _ENDS.search(reply, begin.end())
        if first or ((alone or closed) and not reply.count("```", 0, begin.start()) % 2):
            return begin
    return None


def _of_channels(turns: list[tuple[str, str]]) -> Said:
    thoughts = _joined([said for name, said in turns if name != "final"])
    text = "".join(said for name, said in turns if name == "final").strip()
    return Said(thoughts, text, open=not turns or turns[-1][0] != "final")


def _joined(thoughts: list[str]) -> str:
    return "\n\n".join(filter(None, map(str.strip, thoughts)))
