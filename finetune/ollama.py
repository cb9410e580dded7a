"""What Ollama needs to know of a GGUF file beside it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SYSTEM, _FIRST, _REPLY, _SECOND = "SYSTEM-0", "FIRST-0", "REPLY-0", "SECOND-0"
_SHAPE = re.compile(
    rf"(?P<begin>.*?)system(?P<name>.*?){_SYSTEM}(?P<end>.*?)user(?P=name){_FIRST}(?P=end)"
    rf"assistant(?P=name){_REPLY}(?P=end)user(?P=name){_SECOND}(?P=end)assistant(?P=name)",
    re.DOTALL,
)


def modelfile(words: PreTrainedTokenizerBase, file: str) -> str:
    """A Modelfile for a GGUF file beside it.

    Ollama knows the templates of the usual families by that in the file. Where every turn is told in the same
    way, as in ChatML, it is written out besides, with the system message that the model's own would add.
    """
    lines = [f"FROM ./{file}"]
    turns = [("system", _SYSTEM), ("user", _FIRST), ("assistant", _REPLY), ("user", _SECOND)]
    found = _SHAPE.fullmatch(_rendered(words, turns))
    if found is not None:
        begin = found["begin"].removeprefix(str(words.bos_token)) if words.bos_token else found["begin"]
        turn = f"{{{{ .Role }}}}{found['name']}{{{{ .Content }}}}{found['end']}"
        template = f"{begin}{{{{ range .Messages }}}}{turn}{{{{ end }}}}assistant{found['name']}"
        lines.append(f'TEMPLATE """{template}"""')
        alone = _rendered(words, [("user", _FIRST)]).partition(f"{found['end']}user{found['name']}{_FIRST}")
        if alone[1] and alone[0].startswith(start := f"{found['begin']}system{found['name']}"):
            lines.append(f'SYSTEM """{alone[0].removeprefix(start)}"""')
    return "\n".join(lines) + "\n"


def _rendered(words: PreTrainedTokenizerBase, turns: list[tuple[str, str]]) -> str:
    """The prompt of a conversation; empty where the template refuses it."""
    from jinja2 import TemplateError

    chat = [{"role": role, "content": content} for role, content in turns]
    try:
        return str(words.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
    except TemplateError:
        return ""
