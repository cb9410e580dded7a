"""Text that a model would read as a turn of the chat or its end, parted so that it stays what somebody wrote.

What people and models write is kept as it is; it is parted where it goes to a model, and nowhere else. What a
model would read and nobody sees is taken out there.
"""

import re
from collections.abc import Iterable

from scene.text import printable

_SPELLINGS = "|".join(
    (
        r"<\|[^<>|\s]{1,40}\|?>|<[^<>|\s]{1,40}\|>",  # ChatML, Llama 3, Phi, GLM, Command R, Gemma 4
        r"<｜[^<>｜\s]{1,40}｜>",  # noqa: RUF001  # DeepSeek's bars are wide ones
        r"\[\|[A-Za-z_]{3,20}\|\]|<SPECIAL_\d{1,4}>|<C_[AQ]>",  # EXAONE, Nemotron, Baichuan
        r"</?s>|<(?:bos|eos|pad|unk|mask|sop|eop|eod)>|<[A-Z]{2,4}_TOKEN>|</?seed:[\w:]{1,20}>|<mask:\d{1,4}>",
        r"<(?:start|end)_(?:of|function)_\w{1,20}>|<im_(?:start|end|sep)>|<fim_\w{1,10}>",
        r"<(?:longcat|hy)_[^<>\s]{1,40}>|<(?:audio|image)_soft_token>|<_(?:bot|end|system|user)>",
        r"<eo(?:a|h|sys)>|<TOKENS_UNUSED_\d{1,3}>|\[UNUSED_TOKEN_\d{1,3}\]",  # InternLM
        r"<(?:extra_id_|reserved_|unused)\d{1,4}>|<0x[0-9A-F]{2}>|<(?:file_sep|repo_name)>",
        r"</?(?:role|think|tool_call|tool_response|arg_key|arg_value)>",
        r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_CONTENT|TOOL_RESULTS|ARGS|THINK|CALL_ID)\]",
        r"\[(?:IMG(?:_BREAK|_END)?|(?:BEGIN_)?AUDIO|PREFIX|MIDDLE|SUFFIX|MODEL_SETTINGS)\]",
        r"\[(?:BOS|CLS|EOS|MASK|PAD|SEP|UNK|gMASK|sMASK)\]|<</?SYS>>",
        r"\]<\]\w{1,40}\[>\[|\]~!?\w{1,4}[\[\]]|\[e~\[",  # MiniMax
        r"(?<![^\n])### (?:Assistant|Human|Input|Instruction|Response|System|User):",  # Alpaca, Vicuna
    )
)
"""How the known families of models spell their turns. Every one has a bounded length."""

_SPELLING = re.compile(_SPELLINGS)

_WRITTEN = re.compile(r"(?=.{0,63}\w).{1,63}[^\w\s.!?]")
"""A mark of a turn in plain letters: short, and with something at its end that ends no sentence."""

SEAM = "\ufdd0"
"""Parts a text that is cut there before it becomes tokens. No text has it: Unicode calls it no character."""


def parted(text: str, by: str = " ", tokens: Iterable[str] = ()) -> str:
    """Text as it shows, with every spelling of a control token parted after its first character.

    There may be `tokens` beside those of the known families. Words, blanks and single characters among them
    are passed over: some tokenizers count those as special too.
    """
    text = printable(text)
    own = _of(tokens, text)
    begins = re.compile(f"(?=(?:{'|'.join((_SPELLINGS, *own))}))(.)", re.DOTALL)
    return begins.sub(lambda begin: begin[0] + by, text)


def seamed(text: str, tokens: Iterable[str] = (), marks: Iterable[str] = ()) -> str:
    """The same with `SEAM`, which leaves no trace in the letters that a model reads.

    A seam would not change how `marks` read, what a template writes around turns in plain letters, so these
    are parted by a blank. A word among them is one only where it begins.
    """
    text = printable(text)
    if own := _of(marks, text):
        text = re.sub(rf"(?:(?<!\w)|(?=\W))(?=(?:{'|'.join(own)}))(.)", r"\1 ", text, flags=re.DOTALL)
    return parted(text, SEAM, tokens)


def turn_marks(written: Iterable[str], tokens: Iterable[str]) -> frozenset[str]:
    """What a template writes around turns in letters that are no token of their own, such as "### Response:".

    A name of a role alone is none, nor is a sentence; who reads them without more around them takes no turn.
    """
    own = sorted(filter(_is_mark, map(str.strip, tokens)), key=len, reverse=True)
    between = re.compile("|".join(("\n", *map(re.escape, own))))
    lines = [line.strip() for text in written for line in between.split(text)]
    words = [word for line in lines for word in line.split() if not word[0].isalnum()]
    return frozenset(mark for mark in (*lines, *words) if _WRITTEN.fullmatch(mark))


def at_an_end(text: str) -> bool:
    """Whether text begins or ends with a control token: what is left of a template, not what it is about."""
    return any(found.start() == 0 or found.end() == len(text) for found in _SPELLING.finditer(text))


def _of(tokens: Iterable[str], text: str) -> list[str]:
    """Those of them that are in a text, as regular expressions."""
    return [re.escape(token) for token in tokens if token in text and _is_mark(token.strip())]


def _is_mark(token: str) -> bool:
    return len(token) > 1 and not token.isalnum()
