"""Text that a model would read as a turn of the chat or its end, parted so that it stays what somebody wrote.

What people and models write is kept as it is; it is parted where it goes to a model, and nowhere else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_SPELLINGS = "|".join(
    (
        r"<\|[^<>|\s]{1,40}\|?>|<[^<>|\s]{1,40}\|>",  # ChatML, Llama 3, Phi, GLM, Command R, Gemma 4
        r"<｜[^<>｜\s]{1,40}｜>",  # noqa: RUF001  # DeepSeek's bars are wide ones
        r"</?s>|<(?:bos|eos|pad|unk|mask|sop|eop|eod)>|<[A-Z]{2,4}_TOKEN>|<seed:\w{1,20}>",
        r"<(?:start|end)_of_\w{1,20}>|<im_(?:start|end|sep)>|<fim_\w{1,10}>|<image_soft_token>",
        r"<(?:extra_id_|reserved_|unused)\d{1,4}>",
        r"</?(?:role|think|tool_call|tool_response)>",
        r"\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_CONTENT|TOOL_RESULTS|ARGS|THINK)\]",
        r"\[(?:CLS|MASK|PAD|SEP|gMASK|sMASK)\]|<</?SYS>>",
        r"\]<\]\w{1,40}\[>\[|\]~!?\w{1,4}[\[\]]|\[e~\[",  # MiniMax
        r"(?<![^\n])### (?:Assistant|Human|Input|Instruction|Response|System|User):",  # Alpaca, Vicuna
    )
)
"""How the known families of models spell their turns. Every one has a bounded length."""

_SPELLING = re.compile(_SPELLINGS)

SEAM = "\ufdd0"
"""Parts a text that is cut there before it becomes tokens. No text has it: Unicode calls it no character."""


def parted(text: str, by: str = " ", tokens: Iterable[str] = ()) -> str:
    """Text with every spelling of a control token parted after its first character; any other as it is.

    Args:
        text: Anything.
        by: What stands between the parts.
        tokens: Spellings beside those of the known families. Words, blanks and single characters among them
            are passed over: some tokenizers count those as special too.
    """
    own = (re.escape(token) for token in tokens if token in text and _is_mark(token.strip()))
    begins = re.compile(f"(?=(?:{'|'.join((_SPELLINGS, *own))}))(.)", re.DOTALL)
    return begins.sub(lambda begin: begin[0] + by, text)


def seamed(text: str, tokens: Iterable[str] = ()) -> str:
    """The same with `SEAM`, which leaves no trace in the letters that a model reads."""
    return parted(text.replace(SEAM, ""), SEAM, tokens)


def at_an_end(text: str) -> bool:
    """Whether text begins or ends with a control token: what is left of a template, not what it is about."""
    return any(found.start() == 0 or found.end() == len(text) for found in _SPELLING.finditer(text))


def _is_mark(token: str) -> bool:
    return len(token) > 1 and not token.isalnum()
